#pragma once

#include <expected>
#include <string>
#include <utility>

namespace assertion::cli {

// Exit statuses of a log-in alone: mistakes that a script may want to tell apart.
inline constexpr int kRedirectUriRefused = 10;
inline constexpr int kOtherState = 11;
inline constexpr int kAccessDenied = 12;
inline constexpr int kCodeRefused = 13;
inline constexpr int kOtherKey = 14;
inline constexpr int kClockDiffers = 15;

// Why a log-in ended, and assertionctl's exit status for it.
struct LoginFailure {
  int status;
  std::string what;
  std::string next;
};

template <typename T>
using LoginOutcome = std::expected<T, LoginFailure>;
using LoginResult = LoginOutcome<void>;

inline std::unexpected<LoginFailure> Fails(int status, std::string what, std::string next = "") {
  return std::unexpected(LoginFailure{.status = status, .what = std::move(what), .next = std::move(next)});
}

}  // namespace assertion::cli
