#include "signing/recovery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <thread>

#include "faulty_hsm/faulty_hsm.h"
#include "replica.h"
#include "test_input.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kPatience{20};  // a test that waits in vain fails; none needs as long

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest()
      : certifier_(*x509::Certifier::New(kFaultyHsmModule)),
        replica_(hsm_.token(), *certifier_, {Named("orders"), Named("billing"), Named("late")}, now_) {
    replica_.Generate("orders");
    replica_.Generate("billing");
    recovery_.emplace(hsm_.token(), replica_.ring(), queue_, [this](const Status& state) {
      const std::lock_guard lock(mutex_);
      lost_ += state ? 0 : 1;
      usable_ = state.has_value();
      changed_.notify_all();
    });
  }

  Result<Signed> Sign(const std::string& client = "orders") { return Sign(queue_, client); }

  Result<Signed> Sign(SigningQueue& queue, const std::string& client) {
    std::promise<Result<Signed>> promise;
    auto result = promise.get_future();
    const auto key = *replica_.ring().SigningKeyOf(client);
    const auto accepted =
        queue.Submit({.key = key,
                      .input = TestInput::Of("input"),
                      .caller = {},
                      .deadline = steady_clock::now() + kPatience,
                      .done = [&promise](Result<Signed> made) { promise.set_value(std::move(made)); }});
    if (!accepted) {
      return std::unexpected(accepted.error());
    }
    auto made = result.get();
    EXPECT_TRUE(!made || key->verifier.Verify(made->input, made->signature));
    return made;
  }

  bool WaitUntilUsable(bool usable) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return usable_ == usable; });
  }

  // Also when it is usable again by now.
  bool WaitUntilLost() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return lost_ > 0; });
  }

  int lost() {
    const std::lock_guard lock(mutex_);
    return lost_;
  }

  FaultyHsm hsm_;
  const Time now_{std::chrono::seconds(1'800'000'000)};
  std::unique_ptr<x509::Certifier> certifier_;
  Replica replica_;
  SigningQueue queue_{hsm_.token(), {.sessions = 2, .capacity = 100, .call_limit = seconds(1)}};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool usable_ = true;
  int lost_ = 0;
  std::optional<Recovery> recovery_;
};

TEST_F(RecoveryTest, OneErrorOfACallIsNotSeen) {
  for (const auto* function : {"C_SignInit", "C_Sign"}) {
    for (const auto* rv : {"0x5", "0x30", "0x82", "0x91", "0xb3"}) {
      hsm_.Tell(std::string(function) + " fail=" + rv + " times=1");
      const auto made = Sign();
      EXPECT_TRUE(made) << function << " " << rv << ": " << made.error().ToString();
    }
  }
}

TEST_F(RecoveryTest, AWrongSignatureIsMadeAnew) {
  hsm_.Tell("C_Sign flip times=1");
  EXPECT_TRUE(Sign());
}

TEST_F(RecoveryTest, AnotherKeysSignatureIsNotReleased) {
  hsm_.Tell("C_SignInit swap times=1");
  EXPECT_TRUE(Sign());
  hsm_.Tell("C_SignInit swap");
  const auto made = Sign();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kUnavailable);
  hsm_.Tell("");
  ASSERT_TRUE(WaitUntilUsable(true));
}

TEST_F(RecoveryTest, ATokenThatIsTakenOutIsFoundWhenItIsBack) {
  ASSERT_TRUE(Sign());
  for (int i = 0; i < 3; ++i) {
    hsm_.Tell("* removed");
    ASSERT_TRUE(WaitUntilUsable(false)) << "idle, and nobody calls";
    const auto began = steady_clock::now();
    const auto made = Sign();
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::kUnavailable);
    EXPECT_LT(steady_clock::now() - began, seconds(1)) << "refused at once";
    hsm_.Tell("");
    ASSERT_TRUE(WaitUntilUsable(true));
    EXPECT_TRUE(Sign());
    EXPECT_TRUE(Sign("billing"));
  }
  EXPECT_EQ(lost(), 3);
}

TEST_F(RecoveryTest, HandlesThatMeanOthersAfterwardsAreFoundAgain) {
  ASSERT_TRUE(Sign());
  hsm_.Tell("* removed");
  ASSERT_TRUE(WaitUntilUsable(false));
  hsm_.Tell("C_FindObjects renumber times=0");
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign());
  EXPECT_TRUE(Sign("billing"));
}

TEST_F(RecoveryTest, AModuleThatWantsToBeInitialisedAgainIs) {
  ASSERT_TRUE(Sign());
  hsm_.Tell("C_Sign wedged times=1");
  static_cast<void>(Sign());
  hsm_.Tell("");
  ASSERT_TRUE(WaitUntilLost());
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign());
  EXPECT_TRUE(replica_.custodian().Generate(replica_.Change("orders"), Replica::NewKey())) << "the provider, too";
}

// As a YubiHSM's do, which a new login does not bring back: tests/faulty_hsm/personalities/yubihsm2.json.
TEST_F(RecoveryTest, SessionsThatHaveTimedOutComeBack) {
  ASSERT_TRUE(Sign());
  hsm_.Tell("idle CKR_SESSION_CLOSED\nC_SignInit idle times=1");
  static_cast<void>(Sign());
  hsm_.Tell("");
  ASSERT_TRUE(WaitUntilLost());
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign());
}

TEST_F(RecoveryTest, AModuleThatDoesNotEndIsAskedAgain) {
  ASSERT_TRUE(Sign());
  hsm_.Tell("C_Finalize fail=0x5 times=2\nC_Sign wedged times=1");
  static_cast<void>(Sign());
  ASSERT_TRUE(WaitUntilLost());
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign());
}

TEST_F(RecoveryTest, ALockedPinWaitsForItsUnlocking) {
  hsm_.Tell("C_Login fail=0xa4\n* removed times=1");
  ASSERT_TRUE(WaitUntilUsable(false));
  hsm_.Tell("C_Login fail=0xa4");
  EXPECT_FALSE(Sign());
  hsm_.Tell("");
  ASSERT_TRUE(WaitUntilUsable(true)) << "unlocked by the security officer";
}

TEST_F(RecoveryTest, ARefusedPinWaitsForAnother) {
  hsm_.Tell("* removed");
  ASSERT_TRUE(WaitUntilUsable(false));
  hsm_.Write("pin", "0000000000\n");
  hsm_.Tell("");
  ASSERT_FALSE(Sign());
  hsm_.Write("pin", std::string(SoftHsm::kPin) + "\n");
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign());
}

TEST_F(RecoveryTest, OneKeyThatIsGoneIsNotTheTokensTrouble) {
  ASSERT_TRUE(hsm_.token().DestroyKey((*replica_.ring().SigningKeyOf("billing"))->id));
  const auto made = Sign("billing");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kLedgerUnusable) << made.error().ToString();
  // The proof that this calls for is made with the other key.
  hsm_.Tell("* removed");
  ASSERT_TRUE(WaitUntilUsable(false));
  hsm_.Tell("");
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign("orders"));
  EXPECT_EQ(lost(), 1);
}

// Counts how it is connected anew.
class CountingToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;

  Status Reconnect(Reconnection how) override {
    {
      const std::lock_guard lock(mutex_);
      ++attempts_;
      reloads_ += how == Reconnection::kReload ? 1 : 0;
    }
    changed_.notify_all();
    return WrappedToken::Reconnect(how);
  }

  bool WaitForAttempts(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return attempts_ >= count; });
  }

  bool WaitForReloads(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return reloads_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int attempts_ = 0;
  int reloads_ = 0;
};

// The key may be back and not be shown (SoftHSM2), but a change that is under way is not cut in two.
TEST_F(RecoveryTest, AChangeIsNotDisturbedByAReloadForAMissingKey) {
  recovery_.reset();
  CountingToken token(hsm_.token());
  for (const auto* client : {"orders", "billing"}) {
    ASSERT_TRUE(hsm_.token().DestroyKey((*replica_.ring().SigningKeyOf(client))->id));
  }
  const auto generation = hsm_.module().generation();
  auto change = token.Hold();
  recovery_.emplace(token, replica_.ring(), queue_, [](const Status&) {});
  EXPECT_TRUE(token.WaitForReloads(1)) << "nothing can be signed";
  EXPECT_TRUE(token.WaitForAttempts(6));
  EXPECT_EQ(hsm_.module().generation(), generation);
  change.reset();
  EXPECT_TRUE(token.WaitForReloads(3));
  recovery_.reset();
  EXPECT_GT(hsm_.module().generation(), generation);
}

// SoftHSM2 does not find the objects again before C_Finalize.
TEST_F(RecoveryTest, ObjectsThatVanishWithoutAnErrorSignAgain) {
  ASSERT_TRUE(Sign());
  const auto tokens = hsm_.directory() / "tokens";
  const auto away = hsm_.directory() / "away";
  std::filesystem::rename(tokens, away);
  ASSERT_TRUE(WaitUntilUsable(false));
  std::filesystem::rename(away, tokens);
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign());
  EXPECT_TRUE(Sign("billing"));
}

// A key of the client "late" that is back on the token, and that SoftHSM2 does not show before it is reloaded.
class HiddenKeyTest : public RecoveryTest {
 protected:
  void SetUp() override {
    recovery_.reset();
    const auto files = hsm_.ObjectFiles();
    ASSERT_TRUE(replica_.custodian().Generate(replica_.Change("late"), Replica::NewKey()));
    auto added = hsm_.ObjectFiles();
    std::erase_if(added, [&](const auto& file) { return std::ranges::find(files, file) != files.end(); });
    ASSERT_TRUE(Sign("late"));
    std::filesystem::create_directory(away_);
    for (const auto& file : added) {
      std::filesystem::rename(file, away_ / file.filename());
    }
    ASSERT_FALSE(Sign("late"));
    for (const auto& file : added) {
      std::filesystem::rename(away_ / file.filename(), file);
    }
    ASSERT_FALSE(Sign("late"));
  }

  void RefreshMissesIt() {
    EXPECT_FALSE(replica_.ring().Refresh());
    EXPECT_TRUE(replica_.ring().LacksObjects());
  }

  void TearDown() override {
    recovery_.reset();
    EXPECT_TRUE(replica_.ring().Refresh());
    EXPECT_FALSE(replica_.ring().LacksObjects());
  }

  std::filesystem::path away_ = hsm_.directory() / "away";
  CountingToken token_{hsm_.token()};
};

TEST_F(HiddenKeyTest, SignsAgainAndDisturbsNoOther) {
  RefreshMissesIt();
  recovery_.emplace(token_, replica_.ring(), queue_, [](const Status&) {});
  ASSERT_TRUE(token_.WaitForReloads(1));
  while (!Sign("late")) {
    EXPECT_TRUE(Sign());
  }
}

// Their signatures are the proof that the token works, so that no other proof is made.
TEST_F(HiddenKeyTest, IsLookedForWhenACallMissesIt) {
  replica_.ring().KeepFresh(std::chrono::hours(1), [](const Status&) {});
  recovery_.emplace(token_, replica_.ring(), queue_, [](const Status&) {});
  const auto end = steady_clock::now() + kPatience;
  while (!Sign("late") && steady_clock::now() < end) {
    EXPECT_TRUE(Sign());
  }
  EXPECT_TRUE(Sign("late"));
  replica_.ring().StopRefreshing();
}

TEST_F(HiddenKeyTest, SignsAgainWhileOthersSignWithoutAPause) {
  RefreshMissesIt();
  const std::jthread others([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      EXPECT_TRUE(Sign());
    }
  });
  recovery_.emplace(token_, replica_.ring(), queue_, [](const Status&) {});
  EXPECT_TRUE(token_.WaitForReloads(1));
}

TEST(ReloadPauseTest, GrowsWithTheLoss) {
  EXPECT_EQ(ReloadPause(seconds(0), true), seconds(2));
  EXPECT_EQ(ReloadPause(seconds(6), true), seconds(10));
  EXPECT_EQ(ReloadPause(seconds(59), false), seconds(2)) << "nobody is disturbed";
  EXPECT_EQ(ReloadPause(seconds(61), false), seconds(10));
  EXPECT_EQ(ReloadPause(std::chrono::hours(1), false), seconds(60));
}

TEST_F(RecoveryTest, ACallThatHangsIsTriedOnAnotherSession) {
  ASSERT_TRUE(Sign());
  hsm_.Tell("C_Sign hang times=1");
  EXPECT_TRUE(Sign()) << "after the limit of a call";
  EXPECT_TRUE(Sign("billing"));
  hsm_.Tell("");
  ASSERT_TRUE(WaitUntilUsable(true));
}

TEST_F(RecoveryTest, ATokenThatDoesNotAnswerIsLostUntilItDoes) {
  for (const auto* function : {"C_Sign", "C_GetSessionInfo"}) {
    hsm_.Tell(std::string(function) + " hang");
    ASSERT_TRUE(WaitUntilUsable(false)) << function;
    const auto made = Sign();
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::kUnavailable);
    hsm_.Tell("");
    ASSERT_TRUE(WaitUntilUsable(true)) << function;
    EXPECT_TRUE(Sign());
  }
}

// A session that has not signed with the key before searches for it, which waits for the change.
TEST_F(RecoveryTest, AProofThatAChangeOfKeysHoldsUpIsNoLoss) {
  recovery_.reset();
  hsm_.Tell("C_GenerateKeyPair hang");
  const std::jthread change([this] {
    EXPECT_TRUE(
        hsm_.token().GenerateKeyPair({.label = "other", .id = {1}, .algorithm = FindAlgorithm("RS256"), .bits = 2048}));
  });
  while (!hsm_.token().IsChanging()) {
    std::this_thread::yield();
  }
  SigningQueue fresh(hsm_.token(), {.sessions = 2, .capacity = 100, .call_limit = kPatience});
  recovery_.emplace(hsm_.token(), replica_.ring(), fresh, [this](const Status& state) {
    const std::lock_guard lock(mutex_);
    lost_ += state ? 0 : 1;
  });
  EXPECT_TRUE(Sign(fresh, "orders")) << "when the search has waited for its patience";
  EXPECT_EQ(lost(), 0);
  recovery_.reset();
  hsm_.Tell("");
}

TEST_F(RecoveryTest, TheEndDoesNotWaitForTheToken) {
  hsm_.Tell("* removed");
  ASSERT_TRUE(WaitUntilUsable(false));
  recovery_.reset();
}

TEST_F(RecoveryTest, ACallThatAReloadHoldsUpIsNoLoss) {
  ASSERT_TRUE(Sign());
  hsm_.Tell("C_Initialize delay=1500");
  ASSERT_TRUE(hsm_.token().Reconnect(Reconnection::kReload));  // as for another token of the module
  EXPECT_TRUE(Sign());
  EXPECT_EQ(lost(), 0);
}

// An HSM that does one thing at a time.
TEST_F(RecoveryTest, CallsThatHangBehindAChangeOfKeysEndTheProcessAfterItAtMost) {
  recovery_.reset();
  hsm_.Tell("C_GenerateKeyPair hang\nC_Sign delay=4000");
  std::jthread change([this] {
    EXPECT_TRUE(
        hsm_.token().GenerateKeyPair({.label = "other", .id = {1}, .algorithm = FindAlgorithm("RS256"), .bits = 2048}));
  });
  while (!hsm_.token().IsChanging()) {
    std::this_thread::yield();
  }
  SigningQueue fresh(hsm_.token(), {.sessions = 1, .capacity = 100, .call_limit = std::chrono::milliseconds(100)});
  std::promise<bool> hung;
  fresh.OnHang([&] { hung.set_value(hsm_.token().IsChanging()); });
  auto call = std::async(std::launch::async, [&] { return Sign(fresh, "orders"); });
  while (fresh.Occupancy().hung < 2) {  // it is tried on another session, too
    std::this_thread::yield();
  }
  auto told = hung.get_future();
  hsm_.Tell("");
  change.join();
  hsm_.Tell("C_Sign hang");
  auto another = std::async(std::launch::async, [&] { return Sign(fresh, "orders"); });
  ASSERT_EQ(told.wait_for(kPatience), std::future_status::ready) << "then they hang for themselves";
  EXPECT_FALSE(told.get());
  hsm_.Tell("");
}

// The PIN was not judged, so it is tried again once it is set.
TEST_F(RecoveryTest, ATokenWithoutAUserPinWaitsForIt) {
  ASSERT_TRUE(Sign());
  hsm_.Tell("C_Login fail=0x102\nC_SignInit dropped times=1");
  static_cast<void>(Sign());
  ASSERT_TRUE(WaitUntilUsable(false));
  hsm_.Tell("");
  ASSERT_TRUE(WaitUntilUsable(true));
  EXPECT_TRUE(Sign());
}

}  // namespace
}  // namespace assertion
