#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <optional>
#include <thread>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/token.h"
#include "keys/key_ring.h"
#include "signing/signing_queue.h"

namespace assertion {

// Watches whether the token signs, and reconnects it when it does not. The proof is a verified signature: a caller's,
// or one of its own when no caller signs, so that an idle session or connection cannot die unnoticed. When a proof
// fails or is late, the queue is paused and the token is reconnected until a proof succeeds: by a login and by a reload
// of the module in turns. A proof that this process itself held up (Token::HeldUntil) is no late one: it is
// repeated afterwards.
//
// Objects that are missing while the token answers may have come back unseen: SoftHSM2 2.6.1 finds them again only
// after a reload. A reload interrupts other signatures, and the key may be gone for good, so reloads for missing
// objects become rarer with time: see ReloadPause. A call that misses its key has the keys read again at once, not at
// the next refresh.
class Recovery {
 public:
  using Changed = std::function<void(const Status&)>;

  // Starts at once. All arguments must outlive it. `changed` is called when the token is lost, with the reason; once a
  // minute while it is lost; and when it is back. It runs on threads of Recovery, one call at a time. `hung` is called
  // when the token has not answered for a minute: this process cannot go on. `may_reload` returns false while the
  // module serves another token that signs: a reload ends the sessions of both, so it is then as rare as for missing
  // objects.
  Recovery(Token& token, KeyRing& keys, SigningQueue& queue, Changed changed, std::function<void()> hung = {},
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
  void LookForMissingKey();
  void ReloadForMissingObjects(std::chrono::milliseconds lasting);
  bool MayReload(const Status& proven);
  bool IsReloadDue(bool signs);
  void Lose(const Error& why);
  void StillLost(const Error& why);
  void Regain();

  // Runs a call into the token that Guard limits in time.
  template <typename Call>
  Status Ask(const Call& call);

  // False: stop.
  bool Wait(const std::stop_token& stop, std::chrono::milliseconds time);

  Token& token_;
  KeyRing& keys_;
  SigningQueue& queue_;
  const Changed changed_;
  const std::function<void()> hung_;
  const std::function<bool()> may_reload_;
  Mutex lost_mutex_;  // held while `changed` runs
  bool lost_ GUARDED_BY(lost_mutex_) = false;
  std::chrono::steady_clock::time_point told_at_ GUARDED_BY(lost_mutex_);
  Mutex mutex_;
  std::condition_variable_any woken_;
  bool suspected_ GUARDED_BY(mutex_) = false;   // a job has failed since the last proof
  bool key_missed_ GUARDED_BY(mutex_) = false;  // a job did not find its key since the last look for it
  std::optional<std::chrono::steady_clock::time_point> asked_ GUARDED_BY(mutex_);  // begin of the call into the token
  // Used by the watcher alone: since when objects are missing, and when the module was last reloaded for them.
  std::optional<std::chrono::steady_clock::time_point> missing_since_;
  std::chrono::steady_clock::time_point reloaded_at_;
  std::chrono::steady_clock::time_point looked_at_;  // when the keys were last read again for a call that missed one
  std::jthread guard_;
  std::jthread watcher_;  // ends first
};

// The least time between two reloads for objects that have been missing for `missing`. `signs`: the token serves other
// keys meanwhile.
std::chrono::milliseconds ReloadPause(std::chrono::steady_clock::duration missing, bool signs);

}  // namespace assertion
