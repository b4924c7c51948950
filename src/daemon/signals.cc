#include "daemon/signals.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace assertion {

using std::chrono::steady_clock;

Signals::Signals(std::chrono::seconds limit, std::function<void()> ended) : ended_(std::move(ended)), limit_(limit) {
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
    const std::lock_guard lock(mutex_);
    reload_ = true;
    told_.notify_all();
  }
  std::unique_lock lock(mutex_);
  if (stop.stop_requested()) {
    return;
  }
  spdlog::info("{}: finishing the calls in flight", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  deadline_ = steady_clock::now() + limit_;
  told_.notify_all();
  while (!stop.stop_requested() && steady_clock::now() < *deadline_) {
    const auto until = *deadline_;
    told_.wait_until(lock, stop, until, [&] { return *deadline_ != until; });
  }
  if (!stop.stop_requested()) {
    ended_();
  }
}

Signals::Told Signals::Wait(std::optional<std::chrono::microseconds> time) {
  std::unique_lock lock(mutex_);
  const auto told = [this] { return reload_ || deadline_; };
  if (time) {
    told_.wait_for(lock, *time, told);
  } else {
    told_.wait(lock, told);
  }
  if (deadline_) {
    return Told::kStop;
  }
  return std::exchange(reload_, false) ? Told::kReload : Told::kNothing;
}

bool Signals::IsStoppedWithin(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return told_.wait_for(lock, time, [this] { return deadline_.has_value(); });
}

void Signals::SetLimit(std::chrono::seconds limit) {
  const std::lock_guard lock(mutex_);
  limit_ = limit;
  if (deadline_) {
    deadline_ = steady_clock::now() + limit;
    told_.notify_all();
  }
}

bool Signals::stopping() const {
  const std::lock_guard lock(mutex_);
  return deadline_.has_value();
}

}  // namespace assertion
