#include "signing/signing_queue.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <atomic>
#include <future>
#include <latch>

#include "test_input.h"
#include "x509/openssl.h"

namespace assertion {
namespace {

using std::chrono::steady_clock;

// A token in memory whose one key really signs, and whose faults are queued and used up in order.
class MemoryToken final : public Token {
 public:
  enum class Fault { kNone, kError, kWrongSignature };

  MemoryToken() : key_(EVP_RSA_gen(2048)) {}

  PublicKey public_key() const { return RsaPublicKey{.modulus = Number("n"), .exponent = Number("e")}; }

  void Queue(Fault fault) {
    const std::lock_guard lock(mutex_);
    faults_.push_back(fault);
  }

  // Signatures wait until the latch is down.
  void HoldUntil(std::latch& latch) { hold_ = &latch; }
  void HoldNoMore() { hold_ = nullptr; }

  int sessions_opened() const { return opened_; }
  int signatures() const { return signatures_; }

  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    ++opened_;
    return std::make_unique<Session>(*this);
  }

  Result<TokenContents> Read(const std::set<std::string, std::less<>>&, const std::set<Bytes>&) override {
    return Unused();
  }
  Result<std::vector<ListedObject>> List(std::span<const std::string_view>) override { return Unused(); }
  Result<TokenKey> GenerateKeyPair(const NewKey&) override { return Unused(); }
  Result<TokenKey> ImportKeyPair(const NewKey&, const PrivateKey&) override { return Unused(); }
  Status CheckCustody(const Algorithm&) override { return Unused(); }
  Status StoreCertificate(std::string_view, BytesView, BytesView, BytesView) override { return Unused(); }
  Status SetLabel(BytesView, std::string_view) override { return Unused(); }
  Status DestroyKey(BytesView) override { return Unused(); }
  Status DestroyObject(ObjectHandle) override { return Unused(); }
  Result<std::vector<TokenData>> FindData(std::string_view, std::string_view) override { return Unused(); }
  Status StoreData(std::string_view, std::string_view, std::string_view) override { return Unused(); }
  TokenDescription Describe() const override { return {}; }
  const std::string& lock_directory() const override { return nowhere_; }
  std::string MechanismOf(const Algorithm&) const override { return {}; }
  Result<PrivateKeyReference> PrivateKeyOf(BytesView) override { return Unused(); }
  Status Check() override { return Unused(); }
  std::chrono::steady_clock::time_point HeldUntil() const override { return {}; }
  bool IsChanging() const override { return false; }
  unsigned Epoch() const override { return 0; }
  std::shared_ptr<void> Hold() override { return nullptr; }
  Status Reconnect(Reconnection) override { return Unused(); }

 private:
  class Session final : public SigningSession {
   public:
    explicit Session(MemoryToken& token) : token_(token) {}
    Result<Bytes> Sign(const Bytes&, const Algorithm&, std::string_view input) override { return token_.Sign(input); }

   private:
    MemoryToken& token_;
  };

  static std::unexpected<Error> Unused() { return Fail(Code::kInternal, "not used by the queue"); }

  const std::string nowhere_;

  Bytes Number(const char* name) const {
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &number);
    Bytes octets(static_cast<std::size_t>(BN_num_bytes(number)));
    BN_bn2bin(number, octets.data());
    BN_free(number);
    return octets;
  }

  Result<Bytes> Sign(std::string_view input) {
    auto* hold = hold_.load();  // before it counts: who waits for the count may end the holding
    ++signatures_;
    if (hold != nullptr) {
      hold->wait();
    }
    auto fault = Fault::kNone;
    {
      const std::lock_guard lock(mutex_);
      if (!faults_.empty()) {
        fault = faults_.front();
        faults_.pop_front();
      }
    }
    if (fault == Fault::kError) {
      return Fail(Code::kUnavailable, "the HSM is not available; try again", "C_Sign: CKR_DEVICE_ERROR");
    }
    const std::unique_ptr<EVP_MD_CTX, x509::Deleter<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    std::size_t size = 256;
    Bytes signature(size);
    EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get());
    EVP_DigestSign(context.get(), signature.data(), &size, AsBytes(input).data(), input.size());
    if (fault == Fault::kWrongSignature) {
      signature[100] ^= 1U;
    }
    return signature;
  }

  x509::KeyPtr key_;
  std::mutex mutex_;
  std::deque<Fault> faults_;
  std::atomic<std::latch*> hold_ = nullptr;
  std::atomic<int> opened_ = 0;
  std::atomic<int> signatures_ = 0;
};

class SigningQueueTest : public testing::Test {
 protected:
  SigningQueueTest()
      : key_(std::make_shared<SigningKey>(
            SigningKey{.client_id = "orders",
                       .algorithm = kAlgorithms.data(),
                       .id = {},
                       .public_key = token_.public_key(),
                       .kid = "kid",
                       .chain = {},
                       .verifier = *x509::Verifier::New(token_.public_key(), kAlgorithms[0])})) {}

  // Submits a job; its result comes through the future.
  std::future<Result<Signed>> Submit(SigningQueue& queue, const std::string& input,
                                     steady_clock::time_point deadline = steady_clock::time_point::max()) {
    std::promise<Result<Signed>> promise;
    auto result = promise.get_future();
    const auto accepted = queue.Submit({.key = key_,
                                        .input = TestInput::Of(input),
                                        .caller = {},
                                        .deadline = deadline,
                                        .done = [promise = std::move(promise)](Result<Signed> signed_input) mutable {
                                          promise.set_value(std::move(signed_input));
                                        }});
    if (!accepted) {
      std::promise<Result<Signed>> refused;
      refused.set_value(std::unexpected(accepted.error()));
      return refused.get_future();
    }
    return result;
  }

  // What Submit says of a job of this caller's with so much time left.
  Status Offer(SigningQueue& queue, const std::string& caller, std::chrono::milliseconds left,
               std::shared_ptr<JobTicket> ticket = nullptr) {
    return queue.Submit({.key = key_,
                         .input = TestInput::Of(caller),
                         .caller = caller,
                         .deadline = steady_clock::now() + left,
                         .done = [](const auto&) {},
                         .ticket = std::move(ticket)});
  }

  // Submits a job to a token that holds; returns when a worker has it.
  std::future<Result<Signed>> Occupy(SigningQueue& queue) {
    const auto before = token_.signatures();
    auto first = Submit(queue, "first");
    while (token_.signatures() == before) {
      std::this_thread::yield();
    }
    return first;
  }

  MemoryToken token_;
  std::shared_ptr<const SigningKey> key_;
};

TEST_F(SigningQueueTest, SignsWhatWasSubmitted) {
  SigningQueue queue(token_, {.sessions = 2, .capacity = 100});
  std::vector<std::future<Result<Signed>>> results;
  for (int i = 0; i < 50; ++i) {
    results.push_back(Submit(queue, "input " + std::to_string(i)));
  }
  for (int i = 0; i < 50; ++i) {
    const auto result = results[static_cast<std::size_t>(i)].get();
    ASSERT_TRUE(result) << result.error().ToString();
    EXPECT_EQ(result->input, "input " + std::to_string(i));
    EXPECT_TRUE(key_->verifier.Verify(result->input, result->signature));
  }
  EXPECT_LE(token_.sessions_opened(), 2);
}

TEST_F(SigningQueueTest, AnErrorDiscardsTheSession) {
  token_.Queue(MemoryToken::Fault::kError);
  token_.Queue(MemoryToken::Fault::kError);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 100});
  const auto failed = Submit(queue, "a").get();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kUnavailable);
  EXPECT_TRUE(Submit(queue, "b").get());
  EXPECT_TRUE(Submit(queue, "c").get());
  EXPECT_EQ(token_.sessions_opened(), 3);
}

TEST_F(SigningQueueTest, OneErrorIsMendedByAnotherSession) {
  for (const auto fault : {MemoryToken::Fault::kError, MemoryToken::Fault::kWrongSignature}) {
    token_.Queue(fault);
    SigningQueue queue(token_, {.sessions = 1, .capacity = 100});
    const auto result = Submit(queue, "a").get();
    ASSERT_TRUE(result) << result.error().ToString();
    EXPECT_TRUE(key_->verifier.Verify(result->input, result->signature));
  }
  EXPECT_EQ(token_.sessions_opened(), 4);
}

TEST_F(SigningQueueTest, PausedItRefusesWhatWaitsAndWhatComes) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 100});
  auto first = Occupy(queue);
  auto waiting = Submit(queue, "second");
  queue.Pause({Code::kUnavailable, "away", ""});
  EXPECT_EQ(waiting.get().error().message, "away");
  EXPECT_EQ(Submit(queue, "third").get().error().message, "away");
  hold.count_down();
  EXPECT_TRUE(first.get());
  queue.Resume();
  EXPECT_TRUE(Submit(queue, "fourth").get());
}

TEST_F(SigningQueueTest, AWrongSignatureIsNeverReleased) {
  token_.Queue(MemoryToken::Fault::kWrongSignature);
  token_.Queue(MemoryToken::Fault::kWrongSignature);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 100});
  const auto failed = Submit(queue, "a").get();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kUnavailable);
  EXPECT_NE(failed.error().detail.find("does not verify"), std::string::npos);
  EXPECT_TRUE(Submit(queue, "b").get());
  EXPECT_EQ(token_.sessions_opened(), 3);
}

TEST_F(SigningQueueTest, PastItsDeadlineAJobNeverReachesTheToken) {
  SigningQueue queue(token_, {.sessions = 1, .capacity = 100});
  const auto late = Submit(queue, "late", steady_clock::now()).get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(token_.signatures(), 0);
}

TEST_F(SigningQueueTest, AFullQueueRefusesAtOnce) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 1});
  auto first = Occupy(queue);
  auto second = Submit(queue, "second");
  const auto third = Submit(queue, "third").get();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kResourceExhausted);
  hold.count_down();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

TEST_F(SigningQueueTest, AFullQueueMakesRoomForWhoHasLess) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 2});
  auto first = Occupy(queue);
  auto second = Submit(queue, "second");
  auto third = Submit(queue, "third");
  EXPECT_TRUE(Offer(queue, "another", std::chrono::hours(1)));
  const auto given_up = third.get();
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code, Code::kResourceExhausted);
  EXPECT_GT(given_up.error().retry_delay.count(), 0);
  EXPECT_FALSE(Offer(queue, "another", std::chrono::hours(1))) << "both have one now";
  hold.count_down();
  EXPECT_TRUE(second.get());
}

TEST_F(SigningQueueTest, ADeadlineThatCannotBeMetIsRefusedBeforeIt) {
  std::latch hold(1);  // outlives the workers
  SigningQueue queue(token_, {.sessions = 1, .capacity = 1'000'000});
  constexpr std::chrono::milliseconds kLeft{10'000};  // nothing expires meanwhile
  ASSERT_TRUE(Submit(queue, "a").get());              // now it knows what one takes
  token_.HoldUntil(hold);
  auto first = Occupy(queue);
  Status offered;
  for (int i = 0; i < 1'000'000 && offered; ++i) {
    offered = Offer(queue, "orders", kLeft);
  }
  ASSERT_FALSE(offered);
  EXPECT_EQ(offered.error().code, Code::kResourceExhausted);
  EXPECT_GT(offered.error().retry_delay.count(), 0);
  EXPECT_TRUE(Offer(queue, "billing", kLeft)) << "another caller's turn comes first";
  queue.Pause({Code::kUnavailable, "enough", ""});  // of those that wait
  hold.count_down();
}

TEST_F(SigningQueueTest, ACancelledJobLeaves) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 1});
  auto first = Occupy(queue);
  const auto ticket = std::make_shared<JobTicket>();
  ASSERT_TRUE(Offer(queue, "orders", std::chrono::hours(1), ticket));
  queue.Cancel(*ticket);
  EXPECT_EQ(queue.Waiting(), 0U);
  EXPECT_EQ(Offer(queue, "orders", std::chrono::hours(1), ticket).error().code, Code::kCancelled);
  hold.count_down();
  EXPECT_TRUE(first.get());
  EXPECT_EQ(token_.signatures(), 1);
}

TEST_F(SigningQueueTest, ALullBeginsWhenTheLastJobHasEnded) {
  constexpr std::chrono::milliseconds kLull(50);
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 1});
  auto first = Occupy(queue);
  auto lull = std::async(std::launch::async, [&] {
    queue.AwaitLull(kLull, std::chrono::hours(1), {});
    return steady_clock::now();
  });
  const auto began = steady_clock::now();
  queue.AwaitLull(std::chrono::milliseconds(1), 3 * kLull / 2, {});
  EXPECT_GE(steady_clock::now() - began, 3 * kLull / 2) << "a job is under way: the longest wait ends it";
  const auto ended = steady_clock::now();
  hold.count_down();
  EXPECT_TRUE(first.get());
  EXPECT_GE(lull.get() - ended, kLull);
}

TEST_F(SigningQueueTest, NobodyWaitsForALullPastTheEnd) {
  SigningQueue queue(token_, {.sessions = 1, .capacity = 1});
  std::jthread waiting(
      [&](const std::stop_token& stop) { queue.AwaitLull(std::chrono::hours(1), std::chrono::hours(1), stop); });
}

TEST_F(SigningQueueTest, TellsWhatItHasInHandAndWhatItHasDone) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 7});
  const auto& ever = queue.statistics();
  auto first = Occupy(queue);
  auto second = Submit(queue, "second");
  const auto now = queue.Occupancy();
  EXPECT_EQ(now.waiting, 1U);
  EXPECT_EQ(now.capacity, 7U);
  EXPECT_EQ(now.busy, 1U);
  EXPECT_EQ(now.hung, 0U);
  EXPECT_FALSE(now.paused);
  token_.Queue(MemoryToken::Fault::kError);
  token_.Queue(MemoryToken::Fault::kWrongSignature);
  hold.count_down();
  EXPECT_FALSE(first.get());
  EXPECT_TRUE(second.get());
  EXPECT_EQ(ever.failed, 2U);
  EXPECT_EQ(ever.sessions_opened, 3U);
  EXPECT_EQ(ever.sessions_discarded, 2U);
  EXPECT_EQ(ever.sessions_closed, 2U);
  EXPECT_EQ(ever.queue_time.Read().total(), 2U);
  EXPECT_EQ(ever.hsm_time.Read().total(), 2U) << "the wrong one was made, too";
  queue.Pause({Code::kUnavailable, "away", ""});
  queue.Pause({Code::kUnavailable, "away still", ""});
  EXPECT_TRUE(queue.Occupancy().paused);
  EXPECT_EQ(ever.pauses, 1U);
  ASSERT_TRUE(queue.Drain(std::chrono::hours(1)));
  EXPECT_EQ(ever.sessions_closed, 3U);
}

TEST(DurationHistogram, CountsWhatIsNotLongerThanABound) {
  DurationHistogram histogram;
  histogram.Add(std::chrono::microseconds(100));
  histogram.Add(std::chrono::microseconds(101));
  histogram.Add(std::chrono::hours(1));
  const auto read = histogram.Read();
  EXPECT_EQ(read.counts.front(), 1U);
  EXPECT_EQ(read.counts[1], 1U);
  EXPECT_EQ(read.counts.back(), 1U);
  EXPECT_EQ(read.total(), 3U);
  EXPECT_DOUBLE_EQ(read.sum, 3600.000201);
}

TEST_F(SigningQueueTest, ACallThatHangsCostsItsSessionOnly) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 100, .call_limit = std::chrono::seconds(1)});
  auto moved = Occupy(queue);
  token_.HoldNoMore();
  EXPECT_TRUE(moved.get()) << "by another session";
  EXPECT_TRUE(Submit(queue, "b").get());
  EXPECT_EQ(token_.sessions_opened(), 2);
  EXPECT_FALSE(queue.Drain(std::chrono::milliseconds(0))) << "one has not returned";
  hold.count_down();
}

TEST_F(SigningQueueTest, WhoWaitsForACallThatHangsIsAnsweredInTime) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  SigningQueue queue(token_, {.sessions = 1, .capacity = 100});
  auto held = Submit(queue, "held", steady_clock::now() + std::chrono::milliseconds(100));
  auto behind = Submit(queue, "behind", steady_clock::now() + std::chrono::milliseconds(100));
  EXPECT_EQ(held.get().error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(behind.get().error().code, Code::kDeadlineExceeded);
  hold.count_down();
}

TEST_F(SigningQueueTest, TooManyCallsThatHangAreTold) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  std::promise<void> told;
  SigningQueue queue(token_, {.sessions = 2, .capacity = 100, .call_limit = std::chrono::milliseconds(20)});
  queue.OnHang([&told] { told.set_value(); });
  std::vector<std::future<Result<Signed>>> results;
  for (int i = 0; i < 4; ++i) {
    results.push_back(Submit(queue, "x", steady_clock::now() + std::chrono::hours(1)));
  }
  told.get_future().wait();
  hold.count_down();
  for (auto& result : results) {
    static_cast<void>(result.get());  // each is answered
  }
}

TEST_F(SigningQueueTest, DestructionFinishesWhatWasAccepted) {
  std::latch hold(1);
  token_.HoldUntil(hold);
  std::vector<std::future<Result<Signed>>> results;
  {
    SigningQueue queue(token_, {.sessions = 2, .capacity = 100});
    for (int i = 0; i < 20; ++i) {
      results.push_back(Submit(queue, "x"));
    }
    hold.count_down();
  }
  for (auto& result : results) {
    ASSERT_EQ(result.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_TRUE(result.get());
  }
}

TEST_F(SigningQueueTest, ManyCallersEachGetTheirOwn) {
  SigningQueue queue(token_, {.sessions = 2, .capacity = 1000});
  std::vector<std::jthread> callers;
  std::atomic<int> good = 0;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 25; ++i) {
        const auto input = std::to_string(caller) + "/" + std::to_string(i);
        const auto result = Submit(queue, input).get();
        good += result && result->input == input ? 1 : 0;
      }
    });
  }
  callers.clear();
  EXPECT_EQ(good, 100);
}

}  // namespace
}  // namespace assertion
