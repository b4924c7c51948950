#include "signing/recovery.h"

#include <algorithm>
#include <future>
#include <random>
#include <utility>

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The sum of these four bounds how late readiness shows a hang: 1 s.
constexpr milliseconds kWatchTick{50};
constexpr milliseconds kBetweenProofs{300};
constexpr milliseconds kAnswerLimit{500};
constexpr milliseconds kGuardTick{50};
constexpr std::chrono::seconds kHeldLimit{40};  // more than any one thing of this process holds its own calls up
constexpr std::chrono::seconds kHungLimit{60};  // vendors' modules may need long to start
constexpr std::chrono::minutes kTellAgain{1};
constexpr milliseconds kFirstWait{25};
constexpr milliseconds kLongestWait{400};  // it must sign again within 1 s after the token does
constexpr milliseconds kBelievedLoss{1000};
constexpr milliseconds kBetweenLooks{1000};  // reading all keys costs the token some time
constexpr milliseconds kPinWait{2000};       // an operator must change the PIN; comparing it with refused ones is slow

bool NeedsOperator(const Status& connected) {
  if (connected) {
    return false;
  }
  const auto code = connected.error().code;
  return code == Code::kPinRefused || code == Code::kPinLocked || code == Code::kPinUnreadable ||
         code == Code::kPinExposed;
}

// A missing key is not the token's trouble: it may be gone for good, and a reload would disturb its replacement.
bool IsTokenTrouble(const Status& trouble) {
  const auto code = trouble.error().code;
  return code != Code::kLedgerUnusable && code != Code::kKeyAmbiguous;
}

// Spreads the attempts of several servers of one token.
milliseconds Jittered(milliseconds wait) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  return wait / 2 + milliseconds(std::uniform_int_distribution<milliseconds::rep>(0, wait.count() / 2)(random));
}

}  // namespace

milliseconds ReloadPause(steady_clock::duration missing, bool signs) {
  const auto brief = signs ? std::chrono::seconds(5) : std::chrono::seconds(60);
  if (missing < brief) {
    return std::chrono::seconds(2);
  }
  return missing < std::chrono::minutes(10) ? std::chrono::seconds(10) : std::chrono::seconds(60);
}

Recovery::Recovery(Token& token, KeyRing& keys, SigningQueue& queue, Changed changed, std::function<void()> hung,
                   std::function<bool()> may_reload)
    : token_(token),
      keys_(keys),
      queue_(queue),
      changed_(std::move(changed)),
      hung_(std::move(hung)),
      may_reload_(std::move(may_reload)) {
  queue_.OnFailure([this](const Error& why) {
    {
      const MutexLock lock(mutex_);
      suspected_ = true;
      key_missed_ = key_missed_ || why.code == Code::kLedgerUnusable;
    }
    woken_.notify_all();
  });
  guard_ = std::jthread([this](const std::stop_token& stop) { Guard(stop); });
  watcher_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
}

Recovery::~Recovery() {
  watcher_ = {};
  guard_ = {};
  queue_.OnFailure({});
}

bool Recovery::Wait(const std::stop_token& stop, milliseconds time) {
  MutexLock lock(mutex_);
  woken_.wait_for(lock, stop, time, [this]() REQUIRES(mutex_) { return suspected_; });
  return !stop.stop_requested();
}

template <typename Call>
Status Recovery::Ask(const Call& call) {
  const auto now_asked = [this](std::optional<steady_clock::time_point> since) {
    const MutexLock lock(mutex_);
    asked_ = since;
  };
  now_asked(steady_clock::now());
  auto answer = call();
  now_asked({});
  return answer;
}

// Notices a call of Ask that does not return.
void Recovery::Guard(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    woken_.wait_for(lock, stop, kGuardTick, [] { return false; });
    const auto asked = asked_.value_or(steady_clock::now());
    const auto waited = steady_clock::now() - asked;
    if (waited < kAnswerLimit || (waited < kHeldLimit && token_.HeldUntil() >= asked)) {
      continue;
    }
    lock.unlock();
    Lose({Code::kUnavailable, "the HSM is not available; try again", "it does not answer"});
    if (waited >= kHungLimit && hung_ && !token_.IsChanging()) {
      hung_();
    }
    lock.lock();
  }
}

void Recovery::Lose(const Error& why) {
  const MutexLock lock(lost_mutex_);
  if (!std::exchange(lost_, true)) {
    queue_.Pause({.code = Code::kUnavailable,
                  .message = why.code == Code::kLedgerUnusable ? why.message : "the HSM is not available; try again",
                  .detail = {},  // the log tells it once, not once a call
                  .retry_delay = kLongestWait});
    told_at_ = steady_clock::now();
    changed_(std::unexpected(why));
  }
}

void Recovery::StillLost(const Error& why) {
  const MutexLock lock(lost_mutex_);
  if (lost_ && steady_clock::now() - told_at_ >= kTellAgain) {
    told_at_ = steady_clock::now();
    changed_(std::unexpected(why));
  }
}

void Recovery::Regain() {
  const MutexLock lock(lost_mutex_);
  if (std::exchange(lost_, false)) {
    queue_.Resume();
    changed_({});
  }
}

// Signs through the queue, which copes with a call that does not return.
Status Recovery::ProveWith(SigningKeyPtr key) {
  ASSIGN_OR_RETURN(auto input, keys_.ProofInput());
  const auto proven = std::make_shared<std::promise<Status>>();
  queue_.SignNow(std::move(key), std::move(input), [proven](const Result<Signed>& made) {
    proven->set_value(made ? Status() : std::unexpected(made.error()));
  });
  return proven->get_future().get();
}

Status Recovery::Prove() {
  auto standing = Ask([this] { return token_.Check(); });
  if (!standing) {
    return standing;
  }
  Status trouble;
  for (auto& key : keys_.SigningKeys()) {
    auto proven = ProveWith(std::move(key));
    if (proven || proven.error().code == Code::kDeadlineExceeded) {
      return proven;  // a single key's trouble is not the token's
    }
    if (trouble || !IsTokenTrouble(proven)) {
      trouble = std::move(proven);
    }
  }
  return trouble;
}

void Recovery::Watch(const std::stop_token& stop) {
  auto known = queue_.signed_count();
  auto proven_at = steady_clock::now();
  std::optional<steady_clock::time_point> held_up;  // since then proofs have been held up
  while (Wait(stop, kWatchTick)) {
    bool suspected = false;
    {
      const MutexLock lock(mutex_);
      suspected = std::exchange(suspected_, false);
    }
    LookForMissingKey();
    const auto count = queue_.signed_count();
    if (!suspected && std::exchange(known, count) != count) {
      proven_at = steady_clock::now();  // callers' signatures are proof enough
      held_up.reset();
    }
    if (!suspected && steady_clock::now() - proven_at < kBetweenProofs) {
      // A proof may never be due while others sign. A loss that one look alone sees is not worth their disturbance.
      ReloadForMissingObjects(kBelievedLoss);
      continue;
    }
    const auto began = steady_clock::now();
    const bool waits = held_up && began < *held_up + kHeldLimit;
    if (waits && token_.HeldUntil() >= began) {
      continue;
    }
    const auto proven = Prove();
    if (!proven && proven.error().code == Code::kDeadlineExceeded && token_.HeldUntil() >= began &&
        (waits || !held_up)) {
      held_up = held_up.value_or(began);
      continue;  // by this process, which tells nothing of the token: again when that is over
    }
    held_up.reset();
    if (proven) {
      Regain();
      ReloadForMissingObjects(milliseconds(0));
    } else {
      Lose(proven.error());
      Restore(stop, proven);
    }
    known = queue_.signed_count();
    proven_at = steady_clock::now();
  }
}

// True at most as often as ReloadPause allows; the caller then reloads.
bool Recovery::IsReloadDue(bool signs) {
  const auto now = steady_clock::now();
  const bool news = !missing_since_;
  missing_since_ = missing_since_.value_or(now);
  if (!news && now - reloaded_at_ < ReloadPause(now - *missing_since_, signs)) {
    return false;
  }
  reloaded_at_ = now;
  return true;
}

// What the last refresh saw missing needs no look: reloads for it are under way.
void Recovery::LookForMissingKey() {
  const auto now = steady_clock::now();
  if (now - looked_at_ < kBetweenLooks) {
    return;
  }
  {
    const MutexLock lock(mutex_);
    if (!std::exchange(key_missed_, false)) {
      return;
    }
  }
  if (!keys_.LacksObjects()) {
    looked_at_ = now;
    keys_.RepeatRefresh({});
  }
}

// Called while other keys sign. Does nothing before objects have been missing for `lasting`.
void Recovery::ReloadForMissingObjects(milliseconds lasting) {
  if (!keys_.LacksObjects()) {
    missing_since_.reset();
    return;
  }
  if (lasting > milliseconds(0)) {
    missing_since_ = missing_since_.value_or(steady_clock::now());
    if (steady_clock::now() - *missing_since_ < lasting) {
      return;
    }
  }
  if (IsReloadDue(/*signs=*/true)) {
    if (Ask([this] { return token_.Reconnect(Reconnection::kReload); })) {
      keys_.RepeatRefresh({});  // which tells whether it helped
    } else {
      reloaded_at_ = {};  // a change of keys was under way: at the next look
    }
  }
}

bool Recovery::MayReload(const Status& proven) {
  const bool alone = !may_reload_ || may_reload_();
  return (alone && IsTokenTrouble(proven)) || IsReloadDue(/*signs=*/!alone);
}

void Recovery::Restore(const std::stop_token& stop, Status proven) {
  auto wait = kFirstWait;
  for (bool reload = false;; reload = !reload && MayReload(proven)) {
    const auto connected = Ask([&] { return token_.Reconnect(reload ? Reconnection::kReload : Reconnection::kLogIn); });
    proven = connected ? Prove() : connected;
    if (proven) {
      Regain();
      return;
    }
    StillLost(proven.error());
    MutexLock lock(mutex_);
    suspected_ = false;
    woken_.wait_for(lock, stop, Jittered(NeedsOperator(connected) ? kPinWait : wait), [] { return false; });
    if (stop.stop_requested()) {
      return;
    }
    wait = std::min(wait * 2, kLongestWait);
  }
}

}  // namespace assertion
