#include "daemon/reloading.h"

#include <spdlog/spdlog.h>

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
  const std::lock_guard lock(mutex_);
  if (!doing_.empty()) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() - since_);
    spdlog::warn("SIGHUP: another reload follows the one that has been {} for {} s", doing_, seconds.count());
  }
  wanted_ = true;
  changed_.notify_all();
}

void Reloading::Note(std::string doing) {
  const std::lock_guard lock(mutex_);
  doing_ = std::move(doing);
  since_ = steady_clock::now();
}

bool Reloading::Close(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  closed_ = true;
  return changed_.wait_for(lock, limit, [this] { return !applying_; });
}

std::string Reloading::Doing() const {
  const std::lock_guard lock(mutex_);
  return doing_;
}

void Reloading::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return wanted_; })) {
    wanted_ = false;
    lock.unlock();
    Reload();
    lock.lock();
  }
}

// Nothing is held while the file is read, and nothing touched that a stop takes away meanwhile.
void Reloading::Reload() {
  Note("reading " + file_);
  const auto read = read_();
  {
    const std::lock_guard lock(mutex_);
    applying_ = !closed_;
  }
  if (applying_) {
    apply_(read);
  }
  const std::lock_guard lock(mutex_);
  applying_ = false;
  doing_.clear();
  changed_.notify_all();
}

}  // namespace assertion
