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
#include <string>
#include <thread>
#include <vector>

#include "softhsm.h"

namespace assertion::service {
namespace {

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

}  // namespace
}  // namespace assertion::service
