#include "signing/calibration.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace assertion {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kMostSessions = 64;
constexpr std::chrono::milliseconds kTrial{
    100};                                    // Linux may need a third of it to spread the threads over the processors
constexpr std::size_t kLeastSignatures = 3;  // per session
constexpr double kGain = 1.2;

// Signatures per second with that many sessions, each on its own thread.
std::optional<double> Measure(Token& token, const Bytes& key, const Algorithm& algorithm, const std::string& input,
                              std::size_t sessions, const std::stop_token& stop) {
  std::vector<std::unique_ptr<SigningSession>> opened;
  for (std::size_t i = 0; i < sessions; ++i) {
    auto session = token.OpenSigningSession();
    if (!session) {
      return std::nullopt;
    }
    opened.push_back(std::move(*session));
  }
  std::atomic<bool> failed = false;
  std::atomic<bool> over = false;
  std::atomic<std::size_t> signatures = 0;
  std::optional<double> rate;
  steady_clock::time_point began;
  std::barrier ready(static_cast<std::ptrdiff_t>(sessions), [&]() noexcept { began = steady_clock::now(); });
  const auto sign = [&](SigningSession& session) {
    const auto once = [&] { return session.Sign(key, algorithm, input).has_value() && !stop.stop_requested(); };
    if (!once()) {  // the first signature includes the search for the key
      failed = true;
    }
    ready.arrive_and_wait();
    while (!over && !failed) {
      if (!once()) {
        failed = true;
      }
      const auto count = ++signatures;
      const std::chrono::duration<double> took = steady_clock::now() - began;
      if (count >= kLeastSignatures * sessions && took >= kTrial && !over.exchange(true)) {
        rate = static_cast<double>(count) / took.count();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    threads.reserve(opened.size());
    for (const auto& session : opened) {
      threads.emplace_back([&sign, &session] { sign(*session); });
    }
  }
  return failed ? std::nullopt : rate;
}

}  // namespace

std::optional<Calibration> Calibrate(Token& token, const Bytes& key, const Algorithm& algorithm,
                                     const std::string& input, std::size_t least, const std::stop_token& stop) {
  const auto measure = [&](std::size_t sessions) { return Measure(token, key, algorithm, input, sessions, stop); };
  const auto first = measure(least);
  if (!first) {
    return std::nullopt;
  }
  Calibration best{.sessions = least, .rate = *first};
  for (auto sessions = 2 * least; sessions <= kMostSessions; sessions *= 2) {
    const auto rate = measure(sessions);
    if (!rate || *rate < kGain * best.rate) {
      break;
    }
    // Measured again: the first trial has cold caches, and another program may have been busy during any trial.
    best.rate = std::max(best.rate, measure(best.sessions).value_or(0));
    if (*rate < kGain * best.rate) {
      break;
    }
    best = {.sessions = sessions, .rate = *rate};
  }
  return best;
}

}  // namespace assertion
