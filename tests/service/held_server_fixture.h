#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "server_fixture.h"
#include "wrapped_token.h"

namespace assertion::service {

// The real token. A signature starts and then waits until the latch opens or LetPass allows it.
class HeldToken final : public WrappedToken {
 public:
  HeldToken(Token& real, std::latch& hold) : WrappedToken(real), hold_(hold) {}

  // Signatures that have started.
  int signing() const { return signing_; }

  // Lets this many signatures finish while the latch is closed.
  void LetPass(std::ptrdiff_t signatures) { passes_.release(signatures); }

  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    ASSIGN_OR_RETURN(auto session, WrappedToken::OpenSigningSession());
    return std::make_unique<Session>(*this, std::move(session));
  }

 private:
  class Session final : public SigningSession {
   public:
    Session(HeldToken& token, std::unique_ptr<SigningSession> real) : token_(token), real_(std::move(real)) {}
    Result<Bytes> Sign(const Bytes& key, const Algorithm& algorithm, std::string_view input) override {
      ++token_.signing_;
      while (!token_.hold_.try_wait() && !token_.passes_.try_acquire_for(std::chrono::milliseconds(1))) {
      }
      return real_->Sign(key, algorithm, input);
    }

   private:
    HeldToken& token_;
    std::unique_ptr<SigningSession> real_;
  };

  std::latch& hold_;
  std::counting_semaphore<> passes_{0};
  std::atomic<int> signing_ = 0;
};

// A second server, whose token makes no signature before Release. "orders" has a key.
class HeldServerFixture : public ServerFixture {
 protected:
  explicit HeldServerFixture(const SigningQueue::Options& options = {.sessions = 2,
                                                                     .capacity = 4096,
                                                                     .call_limit = std::chrono::seconds(60)})
      : held_queue_(held_, options) {
    GenerateOrdersKey();
  }
  ~HeldServerFixture() override { Release(); }

  void Release() {
    if (!std::exchange(released_, true)) {
      hold_.count_down();
    }
  }

  // Calls CreateAssertion for "orders".
  grpc::Status Call(std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + limit);
    v1::CreateAssertionResponse response;
    return stub_.CreateAssertion(&context, request_, &response);
  }

  std::future<grpc::Status> CallLater() {
    return std::async(std::launch::async, [this] { return Call(); });
  }

  // Calls that have reached the queue, as long as no signature is finished.
  std::size_t taken() const { return held_queue_.Waiting() + static_cast<std::size_t>(held_.signing()); }

  void AwaitTaken(std::size_t calls) const {
    while (taken() < calls) {
      std::this_thread::yield();
    }
  }

  bool released_ = false;
  std::latch hold_{1};
  HeldToken held_{hsm_.token(), hold_};
  SigningQueue held_queue_;
  std::unique_ptr<HsmGroup> held_hsms_ = GroupOf(held_queue_);
  std::unique_ptr<Server> held_server_ = *StartServer(PathOf("held.sock"), *held_hsms_);
  v1::AssertionService::Stub stub_{ChannelTo(PathOf("held.sock"))};
};

// The server's queue has one session, which is busy with a first call until Release, and one place.
class BusyServerFixture : public HeldServerFixture {
 protected:
  BusyServerFixture()
      : HeldServerFixture({.sessions = 1, .capacity = 1, .call_limit = std::chrono::seconds(60)}), first_(CallLater()) {
    while (held_.signing() == 0) {
      std::this_thread::yield();
    }
  }
  ~BusyServerFixture() override { Release(); }

  void AwaitFullQueue() const {
    while (held_queue_.Waiting() == 0) {
      std::this_thread::yield();
    }
  }

  void AwaitEmptyQueue() const {
    while (held_queue_.Waiting() != 0) {
      std::this_thread::yield();
    }
  }

  std::future<grpc::Status> first_;
};

}  // namespace assertion::service
