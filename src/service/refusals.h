#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <thread>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/rate.h"
#include "audit/log.h"
#include "observe/assertion_tally.h"
#include "policy/rate_limit.h"

namespace assertion::service {

// Limits the cost of refusals. Each peer, listed or not, has a budget of refused calls that are answered with their
// reason and audited one by one. Further refusals are only counted: one audit line and one log line per second and
// peer.
class Refusals {
 public:
  // Peers with a line of their own per second; all others share one line without a name.
  static constexpr std::size_t kMostLines = 32;

  // `log` and `tally` may be null.
  Refusals(Rate budget, audit::Log* log, AssertionTally* tally);

  // Stops.
  ~Refusals();
  Refusals(const Refusals&) = delete;
  Refusals& operator=(const Refusals&) = delete;

  // Spends one refused call of this peer's budget. RESOURCE_EXHAUSTED, with the delay until the budget has room again,
  // when it is used up: the call is then counted here and must not be recorded otherwise.
  Status Take(const std::string& caller);

  // Writes the counts. Nothing is written afterwards, so the log may be destroyed.
  void Stop();

 private:
  void Work(const std::stop_token& stop);
  void Write(const std::map<std::string, std::uint64_t, std::less<>>& counts,
             std::chrono::system_clock::time_point since);
  void WriteOne(const std::string& caller, std::uint64_t count, std::chrono::system_clock::time_point since);

  RateLimit budget_;
  audit::Log* const log_;  // until Stop
  AssertionTally* const tally_;
  Mutex mutex_;
  std::condition_variable_any filled_;
  std::map<std::string, std::uint64_t, std::less<>> counts_ GUARDED_BY(mutex_);  // of this second
  std::chrono::system_clock::time_point since_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

// Where calls are recorded.
struct Records {
  audit::Log* log = nullptr;     // null: nothing is recorded
  Refusals* refusals = nullptr;  // null: every refusal is recorded

  audit::Log* operator->() const { return log; }
  bool operator==(std::nullptr_t) const { return log == nullptr; }
};

}  // namespace assertion::service
