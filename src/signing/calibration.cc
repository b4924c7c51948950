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

constexpr std::size_t kMost = 64;
constexpr std::chrono::milliseconds kTrial{50};
constexpr int kLeastSignatures = 3;  // of each session
constexpr double kGain = 1.2;

// Signatures a second of that many sessions, each by a thread of its own.
std::optional<double> Measure(Token& token, const SigningKey& key, const std::string& input, std::size_t sessions,
                              const std::stop_token& stop) {
  std::vector<std::unique_ptr<SigningSession>> opened;
  for (std::size_t i = 0; i < sessions; ++i) {
    auto session = token.OpenSigningSession();
    if (!session) {
      return std::nullopt;
    }
    opened.push_back(std::move(*session));
  }
  std::atomic<bool> failed = false;
  std::atomic<double> rate = 0;
  std::barrier ready(static_cast<std::ptrdiff_t>(sessions));
  const auto sign = [&](SigningSession& session) {
    const auto once = [&] {
      if (!session.Sign(key.id, *key.algorithm, input)) {
        failed = true;
      }
      return !failed && !stop.stop_requested();
    };
    once();  // the first looks for the key
    ready.arrive_and_wait();
    const auto began = steady_clock::now();
    auto now = began;
    int count = 0;
    while ((now < began + kTrial || count < kLeastSignatures) && once()) {
      ++count;
      now = steady_clock::now();
    }
    rate += count / std::chrono::duration<double>(now - began).count();
  };
  {
    std::vector<std::jthread> threads;
    for (const auto& session : opened) {
      threads.emplace_back([&sign, &session] { sign(*session); });
    }
  }
  return failed || stop.stop_requested() ? std::nullopt : std::optional(rate.load());
}

}  // namespace

std::optional<Calibration> Calibrate(Token& token, const SigningKey& key, const std::string& input, std::size_t least,
                                     const std::stop_token& stop) {
  std::optional<Calibration> best;
  for (auto sessions = least; sessions <= kMost; sessions *= 2) {
    const auto rate = Measure(token, key, input, sessions, stop);
    if (!rate || (best && *rate < kGain * best->rate)) {
      break;
    }
    best = {.sessions = sessions, .rate = *rate};
  }
  return best;
}

}  // namespace assertion
