#include "service/local_socket.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "softhsm.h"

namespace assertion::service {
namespace {

constexpr uid_t kOtherUser = 60001;
constexpr gid_t kOtherGroup = 60001;

// Runs `what` in a thread in which every chown fails with EPERM, as in the sandbox of
// deploy/systemd/assertiond.service.
void WithoutChown(const std::function<void()>& what) {
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const auto number : std::initializer_list<unsigned>{
#ifdef SYS_chown
           SYS_chown, SYS_lchown,
#endif
           SYS_fchown, SYS_fchownat}) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  std::thread([&] {
    ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    what();
  }).join();
}

gid_t GroupOf(const std::string& path) {
  struct stat info{};
  return lstat(path.c_str(), &info) == 0 ? info.st_gid : static_cast<gid_t>(-1);
}

TEST(LocalSocketTest, AGroupThatTheSocketHasAlreadyNeedsNoChown) {
  const SoftHsm hsm;
  const std::string path = hsm.directory() / "own.sock";
  WithoutChown([&] {
    const auto socket = LocalSocket::Bind(path, getegid());
    ASSERT_TRUE(socket) << socket.error().message;
    EXPECT_EQ(GroupOf(path), getegid());
  });

  if (geteuid() == 0) {  // only root can give a folder to any group
    const auto folder = hsm.directory() / "theirs";
    std::filesystem::create_directory(folder);
    ASSERT_EQ(chown(folder.c_str(), 0, kOtherGroup), 0);
    ASSERT_EQ(chmod(folder.c_str(), 02755), 0);
    WithoutChown([&] {
      const auto socket = LocalSocket::Bind(folder / "s", kOtherGroup);
      ASSERT_TRUE(socket) << socket.error().message;
      EXPECT_EQ(GroupOf(folder / "s"), kOtherGroup);
    });
  }
}

TEST(LocalSocketTest, AnotherGroupIsGivenTheSocketOrTheErrorSaysWhatToDo) {
  const SoftHsm hsm;
  const std::string path = hsm.directory() / "s";
  WithoutChown([&] {
    const auto refused = LocalSocket::Bind(path, kOtherGroup);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kAddressUnusable);
    EXPECT_TRUE(refused.error().message.ends_with(
        "chown to the configured group: Operation not permitted; the server must be in that group, and under systemd a "
        "drop-in needs SupplementaryGroups= and SystemCallFilter=@chown"))
        << refused.error().message;
  });
  if (geteuid() == 0) {
    const auto socket = LocalSocket::Bind(path, kOtherGroup);
    ASSERT_TRUE(socket) << socket.error().message;
    EXPECT_EQ(GroupOf(path), kOtherGroup);
  }
}

// As the kubelet makes a volume in memory with fsGroup.
std::filesystem::path Volume(const SoftHsm& hsm) {
  auto volume = hsm.directory() / "volume";
  std::filesystem::create_directory(volume);
  EXPECT_EQ(chmod(volume.c_str(), 03777), 0);
  return volume;
}

TEST(LocalSocketTest, MakesItsFolderInAFolderOfEverybody) {
  const SoftHsm hsm;
  const auto folder = Volume(hsm) / "own";
  const auto before = umask(0077);
  const auto socket = LocalSocket::Bind(folder / "s", std::nullopt);
  EXPECT_EQ(umask(before), 0077U);
  ASSERT_TRUE(socket) << socket.error().message;
  struct stat info{};
  ASSERT_EQ(stat(folder.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0755U);
  EXPECT_TRUE(LocalSocket::Bind(folder / "t", std::nullopt));  // a second start finds it
}

TEST(LocalSocketTest, MakesNoMoreThanTheLastFolder) {
  const SoftHsm hsm;
  const auto folder = Volume(hsm) / "one" / "two";
  const auto refused = LocalSocket::Bind(folder / "s", std::nullopt);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("/one does not exist; make it: mkdir -p -m 755 " + folder.string() + "/"),
            std::string::npos)
      << refused.error().message;
  EXPECT_FALSE(std::filesystem::exists(folder.parent_path()));
}

TEST(LocalSocketTest, AFolderOrALinkOfAnotherUserIsNotTaken) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a folder away";
  }
  const SoftHsm hsm;
  const auto volume = Volume(hsm);
  std::filesystem::create_directory(volume / "theirs");
  ASSERT_EQ(chown((volume / "theirs").c_str(), kOtherUser, 0), 0);
  std::filesystem::create_symlink(hsm.directory() / "away", volume / "link");
  ASSERT_EQ(lchown((volume / "link").c_str(), kOtherUser, 0), 0);
  for (const auto* name : {"theirs", "link"}) {
    const auto refused = LocalSocket::Bind(volume / name / "s", std::nullopt);
    ASSERT_FALSE(refused) << name;
    EXPECT_NE(refused.error().message.find(std::string(name) + " belongs to user 60001"), std::string::npos)
        << refused.error().message;
  }
  EXPECT_FALSE(std::filesystem::exists(hsm.directory() / "away"));
}

}  // namespace
}  // namespace assertion::service
