#include "keys/machine_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace assertion {
namespace {

constexpr Patience kHardly{.longest = std::chrono::milliseconds(50)};
constexpr Patience kBriefBrake{.longest = std::chrono::milliseconds(50), .takes_over = true};

class MachineLockTest : public testing::Test {
 protected:
  MachineLockTest() {
    auto name = (std::filesystem::temp_directory_path() / "assertion-test-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~MachineLockTest() override { std::filesystem::remove_all(folder_); }

  Result<MachineLock> Take(const Patience& patience = {}) const {
    return MachineLock::Take(folder_, "a.lock", patience);
  }
  std::string path() const { return folder_ + "/a.lock"; }

  void ExpectUnusable(const std::string& part) const {
    const auto lock = Take();
    ASSERT_FALSE(lock);
    EXPECT_EQ(lock.error().code, Code::kConfigInvalid);
    EXPECT_NE(lock.error().message.find(part), std::string::npos) << lock.error().message;
  }

  std::string folder_;
};

// A process of its own that holds the file until it is killed.
class Holder {
 public:
  explicit Holder(const std::string& path) {
    std::array<int, 2> ready{};
    EXPECT_EQ(pipe2(ready.data(), O_CLOEXEC), 0);
    child_ = fork();
    if (child_ == 0) {
      const int file = open(path.c_str(), O_RDWR | O_CREAT, 0600);
      const bool holds = flock(file, LOCK_EX) == 0 && write(ready[1], "x", 1) == 1;
      while (holds) {
        pause();
      }
      _exit(1);
    }
    close(ready[1]);
    char octet = 0;
    EXPECT_EQ(read(ready[0], &octet, 1), 1);
    close(ready[0]);
  }
  ~Holder() { Kill(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  void Kill() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
      child_ = 0;
    }
  }

 private:
  pid_t child_ = 0;
};

TEST_F(MachineLockTest, OneThreadAtATimeHoldsIt) {
  std::optional<MachineLock> lock = *Take();
  const auto other = Take(kHardly);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kAborted);
  EXPECT_TRUE(MachineLock::Take(folder_, "b.lock", kHardly)) << "is another lock";
  lock.reset();
  EXPECT_TRUE(Take(kHardly));
  struct stat info{};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(MachineLockTest, TheBrakeSharesItWithinTheProcess) {
  std::optional<MachineLock> lock = *Take();
  std::optional<MachineLock> brake = *Take(kBriefBrake);
  lock.reset();
  EXPECT_FALSE(Take(kHardly)) << "the brake still holds it";
  brake.reset();
  EXPECT_TRUE(Take(kHardly));
}

TEST_F(MachineLockTest, AnotherProcessIsWaitedForAsLongAsItLives) {
  Holder holder(path());
  EXPECT_EQ(Take(kHardly).error().code, Code::kAborted);
  EXPECT_EQ(Take(kBriefBrake).error().code, Code::kAborted);
  holder.Kill();
  EXPECT_TRUE(Take(kHardly));
}

TEST_F(MachineLockTest, AFileThatWasRemovedLocksNobodyOut) {
  const Holder holder(path());
  std::filesystem::remove(path());
  const auto lock = Take(kHardly);
  ASSERT_TRUE(lock) << lock.error().ToString();
  EXPECT_FALSE(Take(kHardly)) << "the new file is the lock";
}

TEST_F(MachineLockTest, WhatOthersCouldHoldIsNoLock) {
  chmod(folder_.c_str(), 0770);
  ExpectUnusable("chmod 700 " + folder_);
  chmod(folder_.c_str(), 0702);
  ExpectUnusable("chmod 700 " + folder_);
  chmod(folder_.c_str(), 0755);
  std::ofstream(path()) << "";
  chmod(path().c_str(), 0644);
  ExpectUnusable("chmod 600 " + path());
  std::filesystem::remove(path());
  EXPECT_TRUE(Take()) << "others may list the folder";
}

TEST_F(MachineLockTest, WhatIsNoFileIsNoLock) {
  std::filesystem::create_symlink(folder_ + "/elsewhere", path());
  ExpectUnusable("symbolic links");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/elsewhere"));
  std::filesystem::remove(path());
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  ExpectUnusable("not a regular file");
  std::filesystem::remove(path());
  std::filesystem::create_directory(path());
  ExpectUnusable("directory");
  const auto absent = MachineLock::Take(folder_ + "/absent", "a.lock");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Code::kConfigInvalid);
}

// What root's tools make in the folder of the service's user must not lock the service out.
TEST_F(MachineLockTest, RootLeavesTheFileToTheFoldersOwner) {
  constexpr uid_t kOther = 65534;
  if (geteuid() != 0) {
    EXPECT_TRUE(Take());  // only root can make another's folder
    return;
  }
  ASSERT_EQ(chown(folder_.c_str(), kOther, kOther), 0);
  ASSERT_TRUE(Take());
  struct stat info{};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kOther);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

}  // namespace
}  // namespace assertion
