#include "service/refusals.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "assertion/clock.h"

namespace assertion::service {
namespace {

constexpr std::chrono::seconds kPeriod{1};

}  // namespace

Refusals::Refusals(Rate budget, audit::Log* log, AssertionTally* tally)
    : budget_(budget), log_(log), tally_(tally), thread_([this](const std::stop_token& stop) { Work(stop); }) {}

Refusals::~Refusals() { Stop(); }

void Refusals::Stop() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
    const MutexLock lock(mutex_);
    Write(counts_, since_);
  }
}

Status Refusals::Take(const std::string& caller) {
  auto within = budget_.Take(caller, std::chrono::steady_clock::now());
  if (within) {
    return within;
  }
  if (tally_ != nullptr) {
    tally_->CountSuppressed();
  }
  const MutexLock lock(mutex_);
  if (counts_.empty()) {
    since_ = std::chrono::system_clock::now();
    filled_.notify_one();
  }
  ++counts_[caller];
  return within;
}

void Refusals::Work(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (filled_.wait(lock, stop, [this]() REQUIRES(mutex_) { return !counts_.empty(); })) {
    if (filled_.wait_for(lock, stop, kPeriod, [] { return false; }) || stop.stop_requested()) {
      return;
    }
    const auto counts = std::exchange(counts_, {});
    const auto since = since_;
    lock.unlock();
    Write(counts, since);
    lock.lock();
  }
}

void Refusals::Write(const std::map<std::string, std::uint64_t, std::less<>>& counts,
                     std::chrono::system_clock::time_point since) {
  std::size_t lines = 0;
  std::uint64_t rest = 0;
  for (const auto& [caller, count] : counts) {
    if (++lines <= kMostLines) {
      WriteOne(caller, count, since);
    } else {
      rest += count;
    }
  }
  if (rest > 0) {
    WriteOne("", rest, since);
  }
}

void Refusals::WriteOne(const std::string& caller, std::uint64_t count, std::chrono::system_clock::time_point since) {
  spdlog::warn("refused {} calls of {}, more than are recorded one by one", count,
               caller.empty() ? "peers without a name, or of others" : caller);
  if (log_ != nullptr) {
    audit::Event event;
    event.name = "Refusals";
    event.outcome = "RESOURCE_EXHAUSTED";
    event.caller = caller;
    event.count = count;
    event.since = Rfc3339(std::chrono::floor<std::chrono::seconds>(since));
    event.entitled = false;
    log_->Record(event, [](const Status&) {});
  }
}

}  // namespace assertion::service
