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
//
// Objects that are missing while the token answers may be back without being shown: SoftHSM2 2.6.1 finds them again
// only when it is reloaded. A reload interrupts those who sign meanwhile, and the key may be gone for good, so that the
// reloads for missing objects grow rare: see ReloadPause.
class Recovery {
 public:
  using Changed = std::function<void(const Status&)>;

  // Begins at once. All must outlive it. `changed` is told when the token is lost and why, once a minute while it
  // lasts, and when it is back; it runs on threads of its own, one at a time. `hung` is told when the token has not
  // answered for a minute: this process cannot go on then. `may_reload`: false while the module serves another token
  // that signs. It is then reloaded as rarely as for missing objects, for a reload ends the sessions of both.
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
  void MendMissing();
  bool MayReload(const Status& proven);
  bool IsReloadDue(bool signs);
  void Lose(const Error& why);
  void StillLost(const Error& why);
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
  std::chrono::steady_clock::time_point told_at_;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  bool suspected_ = false;  // a job has failed since the last look
  std::optional<std::chrono::steady_clock::time_point> asked_;
  // Of the watcher alone: since when objects have been missing, and when the module was last reloaded for them.
  std::optional<std::chrono::steady_clock::time_point> missing_since_;
  std::chrono::steady_clock::time_point reloaded_at_;
  std::jthread guard_;
  std::jthread watcher_;  // ends first
};

// How long after one reload for missing objects the next may follow, once they have been missing for `missing`.
// `signs`: others are served meanwhile.
std::chrono::milliseconds ReloadPause(std::chrono::steady_clock::duration missing, bool signs);

}  // namespace assertion
