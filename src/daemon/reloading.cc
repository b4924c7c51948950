#include "daemon/reloading.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

namespace assertion {

using std::chrono::steady_clock;

void Reloading::Start(std::string file, std::function<Read()> read, std::function<void(const Read&)> apply) {
  file_ = std::move(file);
  read_ = std::move(read);
  apply_ = std::move(apply);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Reloading::Request() {
  const MutexLock lock(mutex_);
  if (!step_.empty()) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() - since_);
    spdlog::warn("SIGHUP: another reload follows the one that has been {} for {} s", step_, seconds.count());
  }
  wanted_ = true;
  changed_.notify_all();
}

void Reloading::SetStep(std::string step) {
  const MutexLock lock(mutex_);
  step_ = std::move(step);
  since_ = steady_clock::now();
}

bool Reloading::Close(std::chrono::milliseconds limit) {
  MutexLock lock(mutex_);
  closed_ = true;
  return changed_.wait_for(lock, limit, [this]() REQUIRES(mutex_) { return !applying_; });
}

std::string Reloading::CurrentStep() const {
  const MutexLock lock(mutex_);
  return step_;
}

void Reloading::Run(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (changed_.wait(lock, stop, [this]() REQUIRES(mutex_) { return wanted_; })) {
    wanted_ = false;
    lock.unlock();
    Reload();
    lock.lock();
  }
}

// Holds no lock while the file is read, and touches nothing that a stop destroys meanwhile.
void Reloading::Reload() {
  SetStep("reading " + file_);
  std::optional<Read> read = read_();
  malloc_trim(0);  // what 10,000 clients leave free after parsing would otherwise stand beside what follows
  bool may_apply = false;
  {
    const MutexLock lock(mutex_);
    may_apply = !closed_;
    applying_ = may_apply;
  }
  if (may_apply) {
    apply_(*read);
  }
  read.reset();
  malloc_trim(0);
  const MutexLock lock(mutex_);
  applying_ = false;
  step_.clear();
  changed_.notify_all();
}

}  // namespace assertion
