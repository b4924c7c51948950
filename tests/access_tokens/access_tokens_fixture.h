#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "tokens/access_tokens.h"

namespace assertion::tokens {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline const Wanted kOrders{.client_id = "orders", .scope = "read", .resource = {}};

inline Bought Token(std::string_view text, seconds lifetime = seconds(300)) {
  return {.token = Secret(AsBytes(text)), .type = "Bearer", .scope = "read", .lifetime = lifetime};
}

inline Refusal Down(std::optional<milliseconds> retry_after = {}) {
  return {.error = {.code = Code::kUnavailable, .message = "down", .detail = {}},
          .of_client = true,
          .retry_after = retry_after};
}

inline std::string TextOf(const Result<AccessTokenPtr>& token) {
  return token ? std::string((*token)->value.view().begin(), (*token)->value.view().end()) : token.error().message;
}

// Time stands still unless a test moves it; a purchase ends when the test says so.
class AccessTokensTest : public ::testing::Test {
 protected:
  struct Asked {
    Wanted wanted;
    AccessTokens::Receive receive;
    AccessTokens::IsUnwanted is_unwanted;
  };

  AccessTokens::Options Options() {
    return {.now = [this] { return now_.load(); },
            .wall = [this] { return std::chrono::system_clock::time_point(now_.load().time_since_epoch()); },
            .random =
                [](std::span<std::uint8_t> octets) {
                  std::ranges::fill(octets, std::uint8_t{0});
                  return true;
                },
            .buy =
                [this](const Wanted& wanted, AccessTokens::Receive receive, AccessTokens::IsUnwanted is_unwanted) {
                  const std::scoped_lock lock(mutex_);
                  asked_.push_back({wanted, std::move(receive), std::move(is_unwanted)});
                },
            .changed = [this](const std::string& /*client*/, const Status& state) { states_.push_back(!!state); }};
  }

  void Get(seconds minimum, std::function<bool()> gone = {}, const Wanted& wanted = kOrders) {
    tokens_.Get(wanted, {.minimum_validity = minimum, .deadline = now_.load() + seconds(10), .gone = std::move(gone)},
                [this](Result<AccessTokenPtr> token) { got_.push_back(std::move(token)); });
  }

  void Answer(Purchase purchase) {
    auto receive = std::move(asked_.back().receive);
    receive(std::move(purchase));
  }

  void Pass(milliseconds time) { now_ = now_.load() + time; }

  std::atomic<Instant> now_ = Instant(std::chrono::hours(1));
  std::mutex mutex_;
  std::vector<Asked> asked_;
  std::vector<Result<AccessTokenPtr>> got_;
  std::vector<bool> states_;
  AccessTokens tokens_{Options()};
};

}  // namespace assertion::tokens
