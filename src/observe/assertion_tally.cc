#include "observe/assertion_tally.h"

#include <atomic>
#include <cstddef>

namespace assertion {
namespace {

// Numbers threads in the order of their first call.
std::size_t ThreadNumber() {
  static std::atomic<std::size_t> threads{0};
  static thread_local const std::size_t number = threads++;
  return number;
}

}  // namespace

void AssertionTally::Count(std::string_view client_id, std::string_view algorithm, std::string_view outcome,
                           std::chrono::steady_clock::duration took) {
  (outcome == "OK" ? released_ : refused_).Add(took);
  auto& part = parts_[ThreadNumber() % parts_.size()];
  const std::tuple labels(client_id, algorithm, outcome);
  const MutexLock lock(part.mutex);
  auto found = part.counts.find(labels);
  if (found == part.counts.end()) {
    found = part.counts.emplace(Key(client_id, algorithm, outcome), 0).first;
  }
  ++found->second;
}

std::map<AssertionTally::Labels, std::uint64_t> AssertionTally::counts() const {
  std::map<Labels, std::uint64_t> sums;
  for (const auto& part : parts_) {
    const MutexLock lock(part.mutex);
    for (const auto& [key, count] : part.counts) {
      const auto& [client_id, algorithm, outcome] = key;
      sums[{.client_id = client_id, .algorithm = algorithm, .outcome = outcome}] += count;
    }
  }
  return sums;
}

}  // namespace assertion
