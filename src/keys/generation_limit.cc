#include "keys/generation_limit.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace assertion {
namespace {

constexpr std::chrono::hours kWindow{1};

// Nothing while there are fewer than `most`; else when the oldest that counts is an hour past.
Status CheckRoom(const std::vector<GenerationLimit::Instant>& made, std::size_t most, const std::string& whose,
                 const char* field, GenerationLimit::Instant now) {
  if (made.size() < most) {
    return {};
  }
  const auto free = made.at(made.size() - most) + kWindow;
  const auto wait = std::chrono::ceil<std::chrono::seconds>(free - now);
  return std::unexpected(Error{.code = Code::kResourceExhausted,
                               .message = std::to_string(made.size()) + " keys of " + whose +
                                          " were made in the last hour, as many as key_limits." + field +
                                          " allows: try again in " + std::to_string(wait.count()) + " s",
                               .detail = {},
                               .retry_delay = wait});
}

}  // namespace

Status GenerationLimit::Take(std::string_view client_id, const KeyLimits& limits, Instant now) {
  const MutexLock lock(mutex_);
  while (!made_.empty() && made_.front().when <= now - kWindow) {
    made_.pop_front();
  }
  std::vector<Instant> of_all;
  std::vector<Instant> of_client;
  for (const auto& made : made_) {
    of_all.push_back(made.when);
    if (made.client_id == client_id) {
      of_client.push_back(made.when);
    }
  }
  for (const auto& room :
       {CheckRoom(of_client, limits.client_generations_per_hour, "client '" + std::string(client_id) + "'",
                  "client_generations_per_hour", now),
        CheckRoom(of_all, limits.generations_per_hour, "all clients", "generations_per_hour", now)}) {
    if (!room) {
      return room;
    }
  }
  made_.push_back({.client_id = std::string(client_id), .when = now});
  return {};
}

void GenerationLimit::GiveBack(std::string_view client_id) {
  const MutexLock lock(mutex_);
  const auto newest =
      std::find_if(made_.rbegin(), made_.rend(), [&](const Made& one) { return one.client_id == client_id; });
  if (newest != made_.rend()) {
    made_.erase(std::next(newest).base());
  }
}

}  // namespace assertion
