#include "daemon/signals.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace assertion {

using std::chrono::steady_clock;

Signals::Signals(std::chrono::seconds limit, std::function<void()> overdue)
    : overdue_(std::move(overdue)), limit_(limit) {
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    sigaddset(&signals_, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  reader_ = std::jthread([this](const std::stop_token& stop) { Read(stop); });
}

Signals::~Signals() {
  reader_.request_stop();
  pthread_kill(reader_.native_handle(), SIGINT);
}

void Signals::Read(const std::stop_token& stop) {
  int signal = 0;
  while (sigwait(&signals_, &signal) == 0 && signal == SIGHUP) {
    const MutexLock lock(mutex_);
    reload_ = true;
    changed_.notify_all();
  }
  MutexLock lock(mutex_);
  if (stop.stop_requested()) {
    return;
  }
  spdlog::info("{}: finishing the calls in flight", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  deadline_ = steady_clock::now() + limit_;
  changed_.notify_all();
  while (!stop.stop_requested() && steady_clock::now() < *deadline_) {
    const auto until = *deadline_;
    changed_.wait_until(lock, stop, until, [this, until]() REQUIRES(mutex_) { return *deadline_ != until; });
  }
  if (!stop.stop_requested()) {
    overdue_();
  }
}

Signals::Event Signals::Wait(std::optional<std::chrono::microseconds> time) {
  MutexLock lock(mutex_);
  const auto happened = [this]() REQUIRES(mutex_) { return reload_ || deadline_; };
  if (time) {
    changed_.wait_for(lock, *time, happened);
  } else {
    changed_.wait(lock, happened);
  }
  if (deadline_) {
    return Event::kStop;
  }
  return std::exchange(reload_, false) ? Event::kReload : Event::kNone;
}

bool Signals::IsStoppedWithin(std::chrono::milliseconds time) {
  MutexLock lock(mutex_);
  return changed_.wait_for(lock, time, [this]() REQUIRES(mutex_) { return deadline_.has_value(); });
}

void Signals::SetLimit(std::chrono::seconds limit) {
  const MutexLock lock(mutex_);
  limit_ = limit;
  if (deadline_) {
    deadline_ = steady_clock::now() + limit;
    changed_.notify_all();
  }
}

bool Signals::stopping() const {
  const MutexLock lock(mutex_);
  return deadline_.has_value();
}

}  // namespace assertion
