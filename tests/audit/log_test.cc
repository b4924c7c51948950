#include "audit/log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <list>
#include <optional>
#include <thread>

#include "log_fixture.h"

namespace assertion::audit {
namespace {

namespace fs = std::filesystem;

class LogTest : public LogFixture {};

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
    log->Record(stranger, [&](const Status& status) { told = status; });  // answered at once
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
  // The writing thread blocks in the first caller's callback, so the second line waits.
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

TEST_F(LogTest, AStoppedLogIsProvenToItsEndAndGoesOn) {
  for (int start = 0; start < 3; ++start) {
    const auto log = *Open();
    ASSERT_TRUE(Record(*log, std::to_string(start)));
  }
  ExpectProven();
  EXPECT_TRUE(Verified().doubtful.empty());
}

TEST_F(LogTest, ALogThatGoesOnKnowsTheLastCheckpoint) {
  ASSERT_TRUE(Record(**Open(), "before"));
  const auto proven = Verified().proven;
  ASSERT_GT(proven, 0U);
  LogOptions options;
  options.checkpoint_interval = std::chrono::hours(1);
  EXPECT_EQ((*Open(options))->position().checkpoint, proven);
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

TEST_F(LogTest, LinesWaitForThoseOfCallersThatWereServedTogether) {
  auto log = *Open({.path = {}, .gather_again = std::chrono::hours(1)});
  std::promise<void> blocked;
  std::promise<void> release;
  log->Record(Named("first"), [&](const Status&) {
    blocked.set_value();
    release.get_future().wait();
  });
  blocked.get_future().wait();
  std::latch served(4);
  for (const char* jti : {"a", "b", "c", "d"}) {
    log->Record(Named(jti), [&](const Status&) { served.count_down(); });
  }
  release.set_value();
  served.wait();  // in one batch
  std::atomic<int> recorded = 0;
  const auto record = [&] { log->Record(Named("again"), [&](const Status& status) { recorded += status ? 1 : 0; }); };
  record();
  record();
  while (recorded == 0 && log->backlog().lag < std::chrono::milliseconds(200)) {
    std::this_thread::yield();  // a writer that does not wait writes them meanwhile
  }
  EXPECT_EQ(recorded, 0) << "three quarters of four callers are three";
  ASSERT_TRUE(Record(*log, "the third"));
  EXPECT_EQ(recorded, 2);
  record();
  log.reset();
  EXPECT_EQ(recorded, 3) << "a stop ends the wait";
  ExpectProven();
}

TEST_F(LogTest, ALonelyCallerWaitsForNobody) {
  const auto log = *Open({.path = {}, .gather_again = std::chrono::hours(1)});
  for (const char* jti : {"first", "second", "third"}) {
    ASSERT_TRUE(Record(*log, jti));
  }
}

TEST_F(LogTest, LinesThatBelongTogetherShareAWriteAndEndInTheirOrder) {
  const auto log = *Open({.path = {}, .gather = std::chrono::hours(1)});
  std::vector<std::string> ended;
  std::size_t written_with_the_first = 0;
  std::optional<Log::Together> together(*log);
  log->Record(Named("purchase"), [&](const Status&) {
    written_with_the_first = log->position().head.sequence;
    ended.emplace_back("purchase");
  });
  while (log->backlog().lag < std::chrono::milliseconds(100)) {
    ASSERT_EQ(log->backlog().waiting, 1U) << "the line was written alone";
    std::this_thread::yield();
  }
  std::promise<void> done;
  log->Record(Named("hand-out"), [&](const Status&) {
    ended.emplace_back("hand-out");
    done.set_value();
  });
  together.reset();
  done.get_future().wait();
  EXPECT_EQ(ended, (std::vector<std::string>{"purchase", "hand-out"}));
  EXPECT_EQ(written_with_the_first, 3U) << "LogOpened and both lines";
}

TEST_F(LogTest, LinesThatBelongTogetherHoldUpOthersNoLongerThanGathering) {
  const auto log = *Open({.path = {}, .gather = std::chrono::milliseconds(1)});
  const Log::Together together(*log);
  EXPECT_TRUE(Record(*log, "another"));
}

TEST_F(LogTest, LinesThatBelongTogetherDoNotHoldUpTheStop) {
  auto log = *Open({.path = {}, .gather = std::chrono::hours(1)});
  bool recorded = false;
  {
    const Log::Together together(*log);
    log->Record(Named("last"), [&](const Status& status) { recorded = status.has_value(); });
  }
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

TEST_F(LogTest, LinesWithoutACheckpointOfTheirProcessAreDoubtful) {
  const auto other = folder_ / "crashed" / "audit.log";
  fs::create_directory(other.parent_path());
  {
    const auto log = *Open();
    ASSERT_TRUE(Record(*log, "first"));
    ASSERT_TRUE(Record(*log, "second"));
    fs::copy_file(path(), other);  // the state after kill -9
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

// A log that cannot be written must not load the token with checkpoints.
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
      {.path = path(), .checkpoint_lines = 1, .checkpoint_interval = std::chrono::hours(1)}, {filling}, signer_.keys(),
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
                                {slow}, signer_.keys(), {});
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
                                {broken}, signer_.keys(), {});
    for (const auto* jti : {"first", "second", "third"}) {
      ASSERT_TRUE(Record(*log, jti));
    }
  }
  EXPECT_EQ(asked, 2) << "not for every batch, but once more at the end";
  const auto found = Verified();
  EXPECT_FALSE(found.fault);
  EXPECT_EQ(found.proven, 0U);
}

TEST_F(LogTest, OfSeveralKeysTheOneOfTheLastCheckpointGoesOn) {
  const SoftwareSigner other;
  auto keys = other.keys();
  keys.merge(signer_.keys());
  for (const auto& signers : {std::vector{signer_.signer()}, {other.signer(), signer_.signer()}}) {
    const auto log = Log::Open({.path = path()}, signers, keys, {});
    ASSERT_TRUE(log) << log.error().ToString();
    EXPECT_EQ((*log)->jwk(), signer_.signer().jwk);
    ASSERT_TRUE(Record(**log, "one"));
  }
  ExpectProven();
}

TEST_F(LogTest, OneWhoseKeyIsNotOnTheTokenIsNotCalledChanged) {
  ASSERT_TRUE(Record(**Open(), "one"));
  const SoftwareSigner other;
  const auto log = Log::Open({.path = path()}, {other.signer()}, other.keys(), {});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, Code::kAuditUnusable);
  EXPECT_TRUE(log.error().message.starts_with("the audit log is signed by a key that is not on the token"))
      << log.error().message;
  EXPECT_NE(log.error().detail.find(signer_.kid()), std::string::npos) << log.error().detail;
}

}  // namespace
}  // namespace assertion::audit
