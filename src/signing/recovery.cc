#include "signing/recovery.h"

#include <algorithm>
#include <random>
#include <utility>

namespace assertion {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBetweenProofs{400};  // readiness is to turn within 1 s
constexpr milliseconds kFirstWait{25};
constexpr milliseconds kLongestWait{400};  // it is to be back within 1 s after the token is
constexpr milliseconds kPinWait{2000};  // until somebody has seen to the PIN; to compare it with the refused ones costs

bool WantsSomebody(const Status& connected) {
  if (connected) {
    return false;
  }
  const auto code = connected.error().code;
  return code == Code::kPinRefused || code == Code::kPinLocked || code == Code::kPinUnreadable ||
         code == Code::kPinExposed;
}

// Several servers of one token should not come all at once.
milliseconds Jittered(milliseconds wait) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  return wait / 2 + milliseconds(std::uniform_int_distribution<milliseconds::rep>(0, wait.count() / 2)(random));
}

}  // namespace

Recovery::Recovery(Token& token, const KeyRing& keys, SigningQueue& queue, Changed changed)
    : token_(token), keys_(keys), queue_(queue), changed_(std::move(changed)) {
  queue_.OnFailure([this] {
    {
      const std::lock_guard lock(mutex_);
      suspected_ = true;
    }
    woken_.notify_all();
  });
  watcher_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
}

Recovery::~Recovery() {
  watcher_ = {};
  queue_.OnFailure({});
}

bool Recovery::Wait(const std::stop_token& stop, milliseconds time) {
  std::unique_lock lock(mutex_);
  woken_.wait_for(lock, stop, time, [this] { return suspected_; });
  return !stop.stop_requested();
}

Status Recovery::Prove() {
  auto standing = token_.Check();
  return standing ? keys_.Prove() : standing;
}

void Recovery::Watch(const std::stop_token& stop) {
  auto known = queue_.signed_count();
  while (Wait(stop, kBetweenProofs)) {
    bool suspected = false;
    {
      const std::lock_guard lock(mutex_);
      suspected = std::exchange(suspected_, false);
    }
    const auto count = queue_.signed_count();
    if (!suspected && std::exchange(known, count) != count) {
      continue;  // callers' signatures are the proof
    }
    if (auto proven = Prove(); !proven) {
      const Error unavailable{Code::kUnavailable, "the HSM is not available; try again", proven.error().ToString()};
      queue_.Pause(unavailable);
      changed_(proven);
      Restore(stop);
    }
  }
}

void Recovery::Restore(const std::stop_token& stop) {
  auto wait = kFirstWait;
  for (bool reload = false;; reload = !reload) {
    const auto connected = token_.Reconnect(reload ? Reconnection::kReload : Reconnection::kLogIn);
    if (connected && Prove()) {
      queue_.Resume();
      changed_({});
      return;
    }
    std::unique_lock lock(mutex_);
    suspected_ = false;
    woken_.wait_for(lock, stop, Jittered(WantsSomebody(connected) ? kPinWait : wait), [] { return false; });
    if (stop.stop_requested()) {
      return;
    }
    wait = std::min(wait * 2, kLongestWait);
  }
}

}  // namespace assertion
