#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "assertion/error.h"
#include "assertion/token.h"
#include "keys/key_ring.h"
#include "signing/signing_queue.h"

namespace assertion {

// Watches whether the token signs, and brings it back when it does not. The proof is a signature made and verified: one
// of a caller's, or else one of its own, so that sessions and connections that idle do not die unnoticed. When a proof
// fails, or does not come in time, the queue is paused, and the token is connected anew, by logging in and by reloading
// the module in turns, until a proof succeeds.
class Recovery {
 public:
  using Changed = std::function<void(const Status&)>;

  // Begins at once. All must outlive it. `changed` is told when the token is lost and why, and when it is back; it runs
  // on threads of its own, one at a time. `hung` is told when the token has not answered for a minute: this process
  // cannot go on then. `may_reload` is asked before the module is reloaded, which ends the sessions of whoever else
  // uses it.
  Recovery(Token& token, const KeyRing& keys, SigningQueue& queue, Changed changed, std::function<void()> hung = {},
           std::function<bool()> may_reload = {});

  ~Recovery();
  Recovery(const Recovery&) = delete;
  Recovery& operator=(const Recovery&) = delete;

 private:
  void Watch(const std::stop_token& stop);
  void Restore(const std::stop_token& stop, Status proven);
  Status Prove();
  Status ProveWith(SigningKeyPtr key);
  void Guard(const std::stop_token& stop);
  void Lose(const Error& why);
  void Regain();

  // Calls the token itself, under the guard's eyes.
  template <typename Call>
  Status Ask(const Call& call);

  // False when it is time to stop.
  bool Wait(const std::stop_token& stop, std::chrono::milliseconds time);

  Token& token_;
  const KeyRing& keys_;
  SigningQueue& queue_;
  const Changed changed_;
  const std::function<void()> hung_;
  const std::function<bool()> may_reload_;
  std::mutex state_;
  bool lost_ = false;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  bool suspected_ = false;  // a job has failed since the last look
  std::optional<std::chrono::steady_clock::time_point> asked_;
  std::jthread guard_;
  std::jthread watcher_;  // ends first
};

}  // namespace assertion
