// The log's file: torn, moved, removed or changed by others, without room on the disk, and rotated.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "log_fixture.h"

namespace {

std::atomic<int> renames = 0;              // attempts
std::atomic<bool> takes_no_flags = false;  // as NFS does
std::function<int()> syncing;              // called before each fdatasync, which fails when it is not 0

}  // namespace

// In place of the C library's.
extern "C" int RenameAsTold(int from_folder, const char* from, int to_folder, const char* to,
                            unsigned flags) asm("renameat2");
extern "C" int SyncAsTold(int file) asm("fdatasync");

int RenameAsTold(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  ++renames;
  if (takes_no_flags && flags != 0) {
    errno = EINVAL;
    return -1;
  }
  return static_cast<int>(syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

int SyncAsTold(int file) { return syncing && syncing() != 0 ? -1 : static_cast<int>(syscall(SYS_fdatasync, file)); }

namespace assertion::audit {
namespace {

namespace fs = std::filesystem;

class LogFileTest : public LogFixture {
 protected:
  static void ExpectNoChange(const Status& state) {
    ADD_FAILURE() << (state ? "it can be written again" : state.error().ToString());
  }
};

TEST_F(LogFileTest, TheFileIsForNobodyElseToWrite) {
  {
    const auto log = *Open();
  }
  struct stat info{};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0037U, 0U);
  fs::permissions(path(), fs::perms::group_write, fs::perm_options::add);
  const auto refused = Open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kAuditUnusable);
}

TEST_F(LogFileTest, ATornLastLineIsKeptAsideAndTheChainGoesOn) {
  {
    ASSERT_TRUE(Record(**Open(), "whole"));
  }
  Append(R"({"seq":4,"prev":"half a li)");
  {
    ASSERT_TRUE(Record(**Open(), "after"));
  }
  EXPECT_NE(Read(path() + ".torn").find("half a li"), std::string::npos);
  EXPECT_NE(Read(path()).find(R"("torn_octets":26)"), std::string::npos);
  ExpectProven();
}

TEST_F(LogFileTest, OneProcessWritesIt) {
  const auto log = *Open();
  const auto second = Open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAuditUnusable);
}

TEST_F(LogFileTest, AFileThatWasMovedGoesOnUntilItIsReopened) {
  {
    const auto log = *Open();
    ASSERT_TRUE(Record(*log, "before"));
    fs::rename(path(), path() + ".1");
    ASSERT_TRUE(Record(*log, "moved"));
    EXPECT_NE(Read(path() + ".1").find("moved"), std::string::npos);
    log->Reopen();
    ASSERT_TRUE(Record(*log, "after"));
    EXPECT_NE(Read(path()).find("after"), std::string::npos);
  }
  ExpectProven();
}

// Renames as NFS, CephFS, Gluster and 9p do.
class OldRenameTest : public LogFileTest {
 protected:
  OldRenameTest() { takes_no_flags = true; }
  ~OldRenameTest() override { takes_no_flags = false; }
};

TEST_F(OldRenameTest, AFullFileIsFollowedByAnother) {
  {
    const auto log = *Open({.path = {}, .rotate_octets = 600, .checkpoint_lines = 2}, ExpectNoChange);
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(Record(*log, std::to_string(i)));
    }
  }
  EXPECT_GT(Files().size(), 2U);
  for (const auto& file : Files()) {
    EXPECT_EQ(fs::hard_link_count(file), 1U) << file;
  }
  ExpectProven();
}

TEST_F(OldRenameTest, AFileThatIsThereIsNotReplaced) {
  const auto taken = RotatedName(path(), 1);
  std::ofstream(taken) << "evidence";
  {
    const auto log = *Open({.path = {}, .rotate_octets = 600, .checkpoint_lines = 2});
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(Record(*log, std::to_string(i)));
    }
  }
  EXPECT_EQ(Read(taken), "evidence");
}

// The state after a crash between the two steps of such a renaming.
TEST_F(LogFileTest, AFileWithTwoNamesLosesTheSecond) {
  {
    ASSERT_TRUE(Record(**Open(), "before"));
  }
  fs::create_hard_link(path(), RotatedName(path(), 1));
  ASSERT_TRUE(Verified().fault);
  {
    ASSERT_TRUE(Record(**Open(), "after"));
  }
  EXPECT_EQ(Files(), std::vector<std::string>{path()});
  ExpectProven();
}

TEST_F(LogFileTest, WithoutANameForTheFullFileTheLogGoesOnInIt) {
  const auto taken = RotatedName(path(), 1);
  std::ofstream(taken) << "evidence";
  std::vector<std::string> told;
  {
    const auto log =
        *Open({.path = {}, .rotate_octets = 600, .checkpoint_interval = std::chrono::seconds(0)}, ExpectNoChange,
              [&](const Status& rotated) { told.push_back(rotated ? "" : rotated.error().detail); });
    renames = 0;
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(Record(*log, std::to_string(i)));
    }
    fs::remove(taken);
    ASSERT_TRUE(Record(*log, "renamed after this"));
  }
  EXPECT_GT(renames, 2);
  EXPECT_EQ(told, (std::vector<std::string>{taken + ": File exists", ""})) << "once, and that it is over";
  EXPECT_GT(Files().size(), 1U);
  ExpectProven();
}

TEST_F(LogFileTest, AFailedRotationIsNotTriedAgainForEachCheckpoint) {
  std::ofstream(RotatedName(path(), 1)) << "evidence";
  const auto log =
      *Open({.path = {}, .rotate_octets = 600, .checkpoint_lines = 2, .checkpoint_interval = std::chrono::hours(1)});
  renames = 0;
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(Record(*log, std::to_string(i)));
  }
  EXPECT_EQ(renames, 1);
}

TEST_F(LogFileTest, AFileThatWasMovedGoesOnUntilAnotherCanBeOpened) {
  {
    const auto log = *Open({.path = {}, .checkpoint_interval = std::chrono::seconds(0)}, ExpectNoChange);
    ASSERT_TRUE(Record(*log, "before"));
    fs::rename(path(), path() + ".1");
    fs::create_directory(path());
    log->Reopen();
    ASSERT_TRUE(Record(*log, "still there"));
    fs::remove(path());
    ASSERT_TRUE(Record(*log, "after"));
  }
  EXPECT_NE(Read(path() + ".1").find("still there"), std::string::npos);
  EXPECT_NE(Read(path()).find("LogOpened"), std::string::npos);
  ExpectProven();
}

LedgerVersion Seen(const std::string& client_id, std::int64_t version) {
  return {
      .hsm = "test", .serial = "0a", .client_id = client_id, .version = version, .hash = "h" + std::to_string(version)};
}

// The highest version that `log` knows of each client.
std::map<std::string, std::int64_t> VersionsOf(const Log& log) {
  std::map<std::string, std::int64_t> versions;
  for (const auto& seen : log.ledger_versions()) {
    EXPECT_EQ(seen.hsm, "test");
    EXPECT_EQ(seen.serial, "0a");
    EXPECT_EQ(seen.hash, "h" + std::to_string(seen.version));
    versions[seen.client_id] = seen.version;
  }
  return versions;
}

TEST_F(LogFileTest, AfterARestartItKnowsWhichLedgersWereThere) {
  {
    const auto log = *Open();
    EXPECT_TRUE(log->ledger_versions().empty());
    for (const int version : {3, 5, 4, 5}) {
      log->Record(Seen("orders", version));
    }
    log->Record(Seen("bill\"ing", 1));
    ASSERT_TRUE(Record(*log, "after"));
  }
  ExpectProven();
  const auto text = Read(path());
  EXPECT_EQ(text.find(R"("version":4)"), std::string::npos);  // older than version 5: not recorded
  const auto log = *Open();
  EXPECT_EQ(VersionsOf(*log), (std::map<std::string, std::int64_t>{{"orders", 5}, {"bill\"ing", 1}}));
}

TEST_F(LogFileTest, EachFileBeginsWithTheLedgersThatWereThere) {
  {
    const auto log = *Open({.path = {}, .rotate_octets = 600, .checkpoint_lines = 2});
    for (int version = 1; version <= 9; ++version) {
      log->Record(Seen("orders", version));
      ASSERT_TRUE(Record(*log, std::to_string(version)));
    }
    log->Record(Seen("billing", 2));
  }
  EXPECT_GT(Files().size(), 2U);
  ExpectProven();
  // The older files may be archived elsewhere.
  for (const auto& file : Files()) {
    if (file != path()) {
      fs::remove(file);
    }
  }
  EXPECT_EQ(VersionsOf(**Open()), (std::map<std::string, std::int64_t>{{"orders", 9}, {"billing", 2}}));
}

TEST_F(LogFileTest, AFileThatWasCutOffWhileItWasBegunIsNotAllThatIsKnown) {
  {
    const auto log = *Open();
    log->Record(Seen("orders", 9));
    log->Record(Seen("billing", 2));
  }
  fs::rename(path(), path() + ".1");
  {
    const auto log = *Open();
  }
  const auto text = Read(path());
  EXPECT_NE(text.find(R"("ledgers":2)"), std::string::npos) << text;
  // The state after a crash: one of the two is on the disk.
  const auto one = text.find('\n', text.find('\n') + 1) + 1;
  fs::resize_file(path(), one);
  EXPECT_EQ(VersionsOf(**Open()), (std::map<std::string, std::int64_t>{{"orders", 9}, {"billing", 2}}));
}

TEST_F(LogFileTest, AfterARotationWithoutANewFileTheYoungestIsGoneOnWith) {
  {
    ASSERT_TRUE(Record(**Open(), "first"));
  }
  fs::rename(path(), path() + ".1");
  {
    ASSERT_TRUE(Record(**Open(), "second"));
  }
  fs::rename(path(), path() + ".2");
  {
    ASSERT_TRUE(Record(**Open(), "third"));
  }
  ExpectProven();
}

TEST_F(LogFileTest, AFileThatWasRemovedReleasesNothing) {
  std::promise<void> told;
  const auto log = *Open({}, [&](const Status& state) {
    if (!state) {
      told.set_value();
    }
  });
  ASSERT_TRUE(Record(*log, "before"));
  fs::remove(path());
  const auto refused = Record(*log, "nowhere");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().message.find(folder_.string()), std::string::npos);
  told.get_future().wait();
  EXPECT_FALSE(log->state());
}

TEST_F(LogFileTest, AFileThatOthersChangeReleasesNothingUntilItIsMovedAway) {
  const auto log = *Open();
  ASSERT_TRUE(Record(*log, "before"));
  fs::resize_file(path(), 10);
  EXPECT_FALSE(Record(*log, "shortened"));
  fs::rename(path(), folder_ / "evidence");
  log->Reopen();
  Status recorded = Record(*log, "after");
  while (!recorded) {
    recorded = Record(*log, "after");
  }
  EXPECT_NE(Read(path()).find("after"), std::string::npos);
}

TEST_F(LogFileTest, ALineThatOthersAppendReleasesNothing) {
  const auto log = *Open();
  ASSERT_TRUE(Record(*log, "before"));
  Append("{\"event\":\"forged\"}\n");
  EXPECT_FALSE(Record(*log, "after"));
}

// A limit for the file's size stands in for a full disk: the kernel takes a part of the write, then none.
TEST_F(LogFileTest, AFullDiskReleasesNothingAndRoomBringsItBack) {
  std::signal(SIGXFSZ, SIG_IGN);
  std::promise<void> full;
  std::promise<void> room;
  const auto log = *Open({}, [&](const Status& state) { state ? room.set_value() : full.set_value(); });
  ASSERT_TRUE(Record(*log, "before"));
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const auto before = limit;
  limit.rlim_cur = fs::file_size(path()) + 100;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto refused = Record(*log, "no room");
  full.get_future().wait();
  const auto again = Record(*log, "no room either");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  room.get_future().wait();
  EXPECT_FALSE(refused);
  EXPECT_FALSE(again);
  ASSERT_TRUE(Record(*log, "after"));
  EXPECT_EQ(Read(path()).find("no room"), std::string::npos);
  EXPECT_NE(Read(path()).find(R"("event":"LogResumed","refused":)"), std::string::npos);
  EXPECT_FALSE(Verified().fault);
}

// What the LogResumed lines of `text` count.
int RefusedIn(const std::string& text) {
  const std::string key = R"("event":"LogResumed","refused":)";
  int sum = 0;
  for (auto at = text.find(key); at != std::string::npos; at = text.find(key, at + 1)) {
    sum += std::stoi(text.substr(at + key.size()));
  }
  return sum;
}

TEST_F(LogFileTest, WhatIsRefusedWhileTheLogResumesIsCountedLater) {
  std::promise<void> resumed;
  const auto log = *Open({}, [&](const Status& state) { state ? resumed.set_value() : void(); });
  ASSERT_TRUE(Record(*log, "before"));
  syncing = [&, calls = 0]() mutable {
    ++calls;
    if (calls == 3) {  // of LogResumed; the second is of the repair
      log->Record(Named("meanwhile"), [](const Status& status) { EXPECT_FALSE(status); });
    }
    errno = EIO;
    return calls == 1 ? -1 : 0;
  };
  EXPECT_FALSE(Record(*log, "not synced"));
  resumed.get_future().wait();
  syncing = nullptr;
  EXPECT_EQ(RefusedIn(Read(path())), 1);
  ASSERT_TRUE(Record(*log, "after"));
  EXPECT_EQ(RefusedIn(Read(path())), 2);
  ASSERT_TRUE(Record(*log, "once"));
  EXPECT_EQ(RefusedIn(Read(path())), 2);
}

TEST_F(LogFileTest, WhatWasRefusedBeforeAnotherFileWasBegunIsCountedInIt) {
  const auto log = *Open();
  ASSERT_TRUE(Record(*log, "before"));
  fs::remove(path());
  int refused = 0;
  for (; refused < 3; ++refused) {
    ASSERT_FALSE(Record(*log, "nowhere"));
  }
  log->Reopen();
  while (!Record(*log, "after")) {
    ++refused;
  }
  EXPECT_EQ(RefusedIn(Read(path())), refused);
}

}  // namespace
}  // namespace assertion::audit
