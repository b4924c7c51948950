#include "signing/calibration.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

// Signs so many at a time, each in 10 ms, as a network HSM does; opens at most `limit` sessions.
class SlowToken final : public WrappedToken {
 public:
  SlowToken(Token& real, int at_once, int limit) : WrappedToken(real), free_(at_once), left_(limit) {}

  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    const std::lock_guard lock(mutex_);
    if (left_ == 0) {
      return Fail(Code::kUnavailable, "the HSM is not available", "C_OpenSession: CKR_SESSION_COUNT");
    }
    --left_;
    most_ = std::max(most_, ++open_);
    return std::make_unique<Session>(*this);
  }

  int open() {
    const std::lock_guard lock(mutex_);
    return open_;
  }
  int most() {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  void Break() {
    const std::lock_guard lock(mutex_);
    broken_ = true;
  }

 private:
  class Session final : public SigningSession {
   public:
    explicit Session(SlowToken& token) : token_(token) {}
    ~Session() override {
      const std::lock_guard lock(token_.mutex_);
      --token_.open_;
      ++token_.left_;
    }
    Result<Bytes> Sign(const Bytes& /*key*/, const Algorithm& /*algorithm*/, std::string_view /*input*/) override {
      std::unique_lock lock(token_.mutex_);
      if (token_.broken_) {
        return Fail(Code::kUnavailable, "the HSM is not available");
      }
      token_.changed_.wait(lock, [this] { return token_.free_ > 0; });
      --token_.free_;
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));  // it is what is measured
      lock.lock();
      ++token_.free_;
      token_.changed_.notify_one();
      return Bytes(256);
    }

   private:
    SlowToken& token_;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;
  int left_;
  int open_ = 0;
  int most_ = 0;
  bool broken_ = false;
};

class CalibrationTest : public testing::Test {
 protected:
  static std::optional<Calibration> Measured(SlowToken& token, const std::stop_token& stop = {}) {
    return Calibrate(token, {1}, kAlgorithms.front(), "input", 2, stop);
  }

  // A machine that is busy during one trial finds fewer.
  static std::optional<Calibration> MeasuredAtLeast(std::size_t sessions, SlowToken& token) {
    auto found = Measured(token);
    for (int again = 0; again < 5 && found && found->sessions < sessions; ++again) {
      found = Measured(token);
    }
    return found;
  }

  LoggedInSoftHsm hsm_;
};

TEST_F(CalibrationTest, TakesSessionsWhileTheyMakeItFaster) {
  SlowToken token(hsm_.token(), 16, 1000);
  const auto found = MeasuredAtLeast(8, token);
  ASSERT_TRUE(found);
  EXPECT_GE(found->sessions, 8U);  // 16, unless this machine is busy
  EXPECT_LE(found->sessions, 32U);
  EXPECT_GT(found->rate, 0);
  EXPECT_EQ(token.open(), 0);
}

TEST_F(CalibrationTest, TakesNoMoreThanTheTokenOpens) {
  SlowToken token(hsm_.token(), 1000, 5);
  EXPECT_EQ(MeasuredAtLeast(4, token)->sessions, 4U);
  EXPECT_EQ(token.open(), 0);
}

TEST_F(CalibrationTest, IsBounded) {
  SlowToken token(hsm_.token(), 1000, 1000);
  EXPECT_LE(Measured(token)->sessions, 64U);
  EXPECT_LE(token.most(), 64);
}

TEST_F(CalibrationTest, ATokenThatFailsSaysNothing) {
  SlowToken token(hsm_.token(), 1000, 1000);
  token.Break();
  EXPECT_FALSE(Measured(token));
  SlowToken full(hsm_.token(), 1000, 1);
  EXPECT_FALSE(Measured(full));
}

TEST_F(CalibrationTest, EndsWhenItIsTold) {
  SlowToken token(hsm_.token(), 1000, 1000);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(Measured(token, stop.get_token()));
  EXPECT_EQ(token.most(), 2);
}

}  // namespace
}  // namespace assertion
