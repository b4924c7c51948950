#include "audit/log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <list>
#include <map>
#include <thread>

#include "audit/verification.h"
#include "audit_signer.h"

namespace assertion::audit {
namespace {

namespace fs = std::filesystem;

class LogTest : public testing::Test {
 protected:
  LogTest() {
    std::string folder = testing::TempDir() + "audit.XXXXXX";
    folder_ = mkdtemp(folder.data());
  }
  ~LogTest() override { fs::remove_all(folder_); }

  std::string path() const { return folder_ / "audit.log"; }

  Result<std::unique_ptr<Log>> Open(LogOptions options = {}, Log::OnState on_state = {}) {
    options.path = options.path.empty() ? path() : options.path;
    return Log::Open(std::move(options), signer_.signer(), signer_.keys(), std::move(on_state));
  }

  static Event Named(const std::string& jti) {
    Event event;
    event.name = "CreateAssertion";
    event.jti = jti;
    event.outcome = "OK";
    return event;
  }

  // Whether the line was durable.
  static Status Record(Log& log, const std::string& jti) {
    std::promise<Status> done;
    log.Record(Named(jti), [&](const Status& status) { done.set_value(status); });
    return done.get_future().get();
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (!entry.path().string().ends_with(".lock") && !entry.path().string().ends_with(".torn")) {
        files.push_back(entry.path());
      }
    }
    return files;
  }

  Verification Verified(const Extent& extent = {}) const {
    std::vector<std::unique_ptr<std::ifstream>> streams;
    std::vector<Source> sources;
    for (const auto& file : Files()) {
      streams.push_back(std::make_unique<std::ifstream>(file));
      sources.push_back({.name = file, .stream = streams.back().get()});
    }
    return Verify(std::move(sources), signer_.keys(), extent);
  }

  void ExpectProven() const {
    const auto found = Verified();
    EXPECT_FALSE(found.fault) << found.fault->file << ":" << found.fault->line << ": " << found.fault->text;
    EXPECT_EQ(found.proven, found.last);
  }

  std::string Read(const std::string& file) const {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  void Append(const std::string& text) const { std::ofstream(path(), std::ios::app | std::ios::binary) << text; }

  fs::path folder_;
  SoftwareSigner signer_;
};

TEST_F(LogTest, WhatWasRecordedStandsInTheFileBeforeTheCallerLearnsIt) {
  const auto log = *Open();
  ASSERT_TRUE(Record(*log, "first"));
  EXPECT_NE(Read(path()).find(R"("jti":"first")"), std::string::npos);
}

TEST_F(LogTest, LinesOfStrangersLeaveTheReserveFree) {
  constexpr std::uint64_t kMoreThanAnyDisk = std::uint64_t{1} << 60U;
  auto stranger = Named("stranger");
  stranger.entitled = false;
  {
    const auto log = *Open({.path = path(), .reserve = kMoreThanAnyDisk});
    Status told = Fail(Code::kInternal, "not told");
    log->Record(stranger, [&](const Status& status) { told = status; });  // at once
    EXPECT_TRUE(told);
    ASSERT_TRUE(Record(*log, "entitled"));
  }
  EXPECT_EQ(Read(path()).find("stranger"), std::string::npos);
  EXPECT_NE(Read(path()).find(R"("jti":"entitled")"), std::string::npos);
  {
    const auto log = *Open({.path = path(), .reserve = 1});
    log->Record(stranger, [](const Status&) {});
  }
  EXPECT_NE(Read(path()).find(R"("jti":"stranger")"), std::string::npos);
  ExpectProven();
}

TEST_F(LogTest, TellsHowFarItIsBehind) {
  std::latch written(1);
  std::latch looked(1);
  const auto log = *Open();
  // The writing thread waits where it tells the first caller; the second's line waits behind it.
  log->Record(Named("first"), [&](const Status&) {
    written.count_down();
    looked.wait();
  });
  written.wait();
  std::promise<void> durable;
  log->Record(Named("second"), [&](const Status&) { durable.set_value(); });
  auto backlog = log->backlog();
  EXPECT_EQ(backlog.waiting, 1U);
  EXPECT_GT(backlog.lag.count(), 0);
  EXPECT_EQ(backlog.unproven, 2U) << "that it was opened, and the first";
  looked.count_down();
  durable.get_future().wait();
  backlog = log->backlog();
  EXPECT_EQ(backlog.waiting, 0U);
  EXPECT_EQ(backlog.lag.count(), 0);
  EXPECT_EQ(log->durable_time().Read().total(), 2U);
}

TEST_F(LogTest, TheFileIsForNobodyElseToWrite) {
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

TEST_F(LogTest, AStoppedLogIsProvenToItsEndAndGoesOn) {
  for (int start = 0; start < 3; ++start) {
    const auto log = *Open();
    ASSERT_TRUE(Record(*log, std::to_string(start)));
  }
  ExpectProven();
  EXPECT_TRUE(Verified().doubtful.empty());
}

TEST_F(LogTest, ManyThreadsMakeOneChain) {
  constexpr int kThreads = 8;
  constexpr int kEach = 200;
  {
    const auto log = *Open({.path = {}, .rotate_octets = 20000, .checkpoint_lines = 50});
    std::latch done(kThreads * kEach);
    std::atomic<int> durable = 0;
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          log->Record(Named(std::to_string(thread * kEach + i)), [&](const Status& status) {
            durable += status ? 1 : 0;
            done.count_down();
          });
        }
      });
    }
    done.wait();
    EXPECT_EQ(durable, kThreads * kEach);
  }
  EXPECT_GT(Files().size(), 1U);
  ExpectProven();
  std::string all;
  for (const auto& file : Files()) {
    all += Read(file);
  }
  for (int i = 0; i < kThreads * kEach; ++i) {
    EXPECT_NE(all.find("\"jti\":\"" + std::to_string(i) + "\""), std::string::npos);
  }
}

TEST_F(LogTest, ALineWaitsForOthersOnlyWhileManyCallsAreUnderWay) {
  auto log = *Open({.path = {}, .gather = std::chrono::hours(1)});
  ASSERT_TRUE(Record(*log, "alone"));
  std::list<Log::Expectation> expected;
  for (int i = 0; i < 12; ++i) {
    expected.emplace_back(*log);
  }
  std::atomic<int> recorded = 0;
  const auto record = [&] {
    log->Record(Named("one of three"), [&](const Status& status) { recorded += status ? 1 : 0; });
  };
  record();
  record();
  EXPECT_EQ(recorded, 0) << "a quarter of those under way are three";
  ASSERT_TRUE(Record(*log, "the third"));
  EXPECT_EQ(recorded, 2);
  expected.clear();
  ASSERT_TRUE(Record(*log, "alone again"));
}

TEST_F(LogTest, ALineThatWaitsForOthersDoesNotOutliveTheStop) {
  auto log = *Open({.path = {}, .gather = std::chrono::hours(1)});
  std::list<Log::Expectation> expected;
  for (int i = 0; i < 8; ++i) {
    expected.emplace_back(*log);
  }
  bool recorded = false;
  log->Record(Named("last"), [&](const Status& status) { recorded = status.has_value(); });
  expected.clear();
  log.reset();
  EXPECT_TRUE(recorded);
  ExpectProven();
}

TEST_F(LogTest, TooManyWaitingAreRefused) {
  std::promise<void> blocked;
  std::promise<void> release;
  LogOptions options;
  options.capacity = 2;
  const auto log = *Open(options);
  log->Record(Named("a"), [&](const Status&) {
    blocked.set_value();
    release.get_future().wait();
  });
  blocked.get_future().wait();
  std::latch done(2);
  for (const char* jti : {"b", "c"}) {
    log->Record(Named(jti), [&](const Status& status) {
      EXPECT_TRUE(status);
      done.count_down();
    });
  }
  const auto refused = Record(*log, "d");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  release.set_value();
  done.wait();
}

TEST_F(LogTest, ATornLastLineIsKeptAsideAndTheChainGoesOn) {
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

TEST_F(LogTest, LinesWithoutACheckpointOfTheirProcessAreDoubtful) {
  const auto other = folder_ / "crashed" / "audit.log";
  fs::create_directory(other.parent_path());
  {
    const auto log = *Open();
    ASSERT_TRUE(Record(*log, "first"));
    ASSERT_TRUE(Record(*log, "second"));
    fs::copy_file(path(), other);  // as kill -9 leaves it
  }
  LogOptions options;
  options.path = other;
  {
    ASSERT_TRUE(Record(**Open(options), "after"));
  }
  std::ifstream stream(other);
  const auto found = Verify({{.name = other, .stream = &stream}}, signer_.keys(), {});
  EXPECT_FALSE(found.fault);
  ASSERT_EQ(found.doubtful.size(), 1U);
  EXPECT_EQ(found.doubtful.front().first, 1U);
  EXPECT_EQ(found.doubtful.front().last, 3U);
}

TEST_F(LogTest, ALogThatWasChangedStopsTheStart) {
  {
    ASSERT_TRUE(Record(**Open(), "honest"));
  }
  auto text = Read(path());
  text.replace(text.find("honest"), 6, "forged");
  std::ofstream(path(), std::ios::trunc) << text;
  const auto refused = Open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kAuditUnusable);
  EXPECT_NE(refused.error().detail.find("audit.log:2:"), std::string::npos) << refused.error().detail;
}

TEST_F(LogTest, OneProcessWritesIt) {
  const auto log = *Open();
  const auto second = Open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAuditUnusable);
}

TEST_F(LogTest, AFileThatWasMovedGoesOnUntilItIsReopened) {
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

LedgerVersion Seen(const std::string& client_id, std::int64_t version) {
  return {
      .hsm = "test", .serial = "0a", .client_id = client_id, .version = version, .hash = "h" + std::to_string(version)};
}

// The highest version of each client that another process finds.
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

TEST_F(LogTest, AfterARestartItKnowsWhichLedgersWereThere) {
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
  EXPECT_EQ(text.find(R"("version":4)"), std::string::npos);  // no news
  const auto log = *Open();
  EXPECT_EQ(VersionsOf(*log), (std::map<std::string, std::int64_t>{{"orders", 5}, {"bill\"ing", 1}}));
}

TEST_F(LogTest, EachFileBeginsWithTheLedgersThatWereThere) {
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

TEST_F(LogTest, AFileThatWasCutOffWhileItWasBegunIsNotAllThatIsKnown) {
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
  // As a crash leaves it: one of the two is on the disk.
  const auto one = text.find('\n', text.find('\n') + 1) + 1;
  fs::resize_file(path(), one);
  EXPECT_EQ(VersionsOf(**Open()), (std::map<std::string, std::int64_t>{{"orders", 9}, {"billing", 2}}));
}

TEST_F(LogTest, AfterARotationWithoutANewFileTheYoungestIsGoneOnWith) {
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

TEST_F(LogTest, AFileThatWasRemovedReleasesNothing) {
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

TEST_F(LogTest, AFileThatOthersChangeReleasesNothingUntilItIsMovedAway) {
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

TEST_F(LogTest, ALineThatOthersAppendReleasesNothing) {
  const auto log = *Open();
  ASSERT_TRUE(Record(*log, "before"));
  Append("{\"event\":\"forged\"}\n");
  EXPECT_FALSE(Record(*log, "after"));
}

// A limit for the file's size stands in for a full disk: the kernel takes a part of the write, then none.
TEST_F(LogTest, AFullDiskReleasesNothingAndRoomBringsItBack) {
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

// The token is not asked again and again for what has no room.
TEST_F(LogTest, NoCheckpointIsAskedForWhileTheLogCannotBeWritten) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::promise<void> room;
  const Log* asking = nullptr;
  std::atomic<int> in_vain = 0;
  auto filling = signer_.signer();
  filling.sign = [&, sign = filling.sign, first = true](std::string_view payload, auto done) mutable {
    in_vain += asking->state() ? 0 : 1;
    if (std::exchange(first, false)) {
      rlimit limit = before;
      limit.rlim_cur = fs::file_size(path()) + 100;
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    sign(payload, std::move(done));
  };
  auto log = *Log::Open(
      {.path = path(), .checkpoint_lines = 1, .checkpoint_interval = std::chrono::hours(1)}, filling, signer_.keys(),
      [&](const Status& state) { state ? room.set_value() : void(setrlimit(RLIMIT_FSIZE, &before)); });
  asking = log.get();
  ASSERT_TRUE(Record(*log, "before"));
  room.get_future().wait();
  log.reset();
  EXPECT_EQ(in_vain, 0);
  ExpectProven();
}

TEST_F(LogTest, LinesGoOnWhileACheckpointIsSigned) {
  auto slow = signer_.signer();
  std::promise<std::move_only_function<void()>> asked;
  slow.sign = [&, sign = slow.sign, first = true](std::string_view payload, auto done) mutable {
    if (std::exchange(first, false)) {
      asked.set_value(
          [sign, payload = std::string(payload), done = std::move(done)]() mutable { sign(payload, std::move(done)); });
    } else {
      sign(payload, std::move(done));
    }
  };
  {
    const auto log = *Log::Open({.path = path(), .checkpoint_lines = 2, .checkpoint_interval = std::chrono::hours(1)},
                                slow, signer_.keys(), {});
    ASSERT_TRUE(Record(*log, "first"));
    auto answer = asked.get_future().get();
    for (const auto* jti : {"second", "third"}) {
      ASSERT_TRUE(Record(*log, jti));
    }
    EXPECT_EQ(log->position().checkpoint, 0U);
    answer();
  }
  ExpectProven();
  EXPECT_EQ(Verified().checkpoints, 2U) << "of the first lines, and at the end";
}

TEST_F(LogTest, WithoutItsKeyTheLogGoesOnUnproven) {
  auto broken = signer_.signer();
  std::atomic<int> asked = 0;
  broken.sign = [&](std::string_view, auto done) {
    ++asked;
    done(Fail(Code::kUnavailable, "the HSM is not available"));
  };
  {
    const auto log = *Log::Open({.path = path(), .checkpoint_lines = 1, .checkpoint_interval = std::chrono::hours(1)},
                                broken, signer_.keys(), {});
    for (const auto* jti : {"first", "second", "third"}) {
      ASSERT_TRUE(Record(*log, jti));
    }
  }
  EXPECT_EQ(asked, 2) << "not for every batch, but once more at the end";
  const auto found = Verified();
  EXPECT_FALSE(found.fault);
  EXPECT_EQ(found.proven, 0U);
}

}  // namespace
}  // namespace assertion::audit
