#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <utility>

namespace assertion {

// The kinds of failures that code distinguishes. The first group answers callers (the gRPC status of the same name);
// those of the second tell what is wrong with the set-up or a key: most have an exit status for a start that fails of
// them (src/daemon/exit_status.h), and src/service/status.cc gives each a gRPC status.
enum class Code {
  kInvalidArgument,
  kUnauthenticated,
  kPermissionDenied,
  kNotFound,
  kAlreadyExists,
  kFailedPrecondition,
  kAborted,
  kCancelled,
  kResourceExhausted,
  kDeadlineExceeded,
  kUnavailable,
  kInternal,

  kConfigInvalid,
  kModuleUnusable,
  kTokenAbsent,
  kTokenAmbiguous,
  kPinUnreadable,
  kPinExposed,
  kPinRefused,
  kPinLocked,
  kKeyForbidden,
  kTemplateRefused,
  kKeyAmbiguous,
  kKeyUnproven,
  kLedgerUnusable,
  kAddressUnusable,
  kAuditUnusable,
  kTlsUnusable,
};

// An error is a value. `message` may be shown to the caller: it says what was wrong and what to do. `detail` is for
// the log only: the failing call and its result. Neither ever holds a secret.
struct Error {
  Code code;
  std::string message;
  std::string detail;
  std::chrono::milliseconds retry_delay{};  // 0: unknown

  // Text for a log or an operator's terminal.
  std::string ToString() const { return detail.empty() ? message : message + " (" + detail + ")"; }
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> Fail(Code code, std::string message, std::string detail = {}) {
  return std::unexpected(Error{.code = code, .message = std::move(message), .detail = std::move(detail)});
}

}  // namespace assertion

// Ends the function with the error of a Status or Result: RETURN_IF_ERROR(Check(key));
#define RETURN_IF_ERROR(...)                             \
  if (auto returned = (__VA_ARGS__); !returned) {        \
    return std::unexpected(std::move(returned).error()); \
  }                                                      \
  static_assert(true)

// The same, or takes the value: ASSIGN_OR_RETURN(const auto key, Find(kid));
#define ASSIGN_OR_RETURN(target, ...) ASSERTION_ASSIGN_OR_RETURN(ASSERTION_UNIQUE(__LINE__), target, __VA_ARGS__)

#define ASSERTION_UNIQUE(line) ASSERTION_JOIN(result_of_line_, line)
#define ASSERTION_JOIN(first, second) first##second
#define ASSERTION_ASSIGN_OR_RETURN(result, target, ...) \
  auto result = (__VA_ARGS__);                          \
  if (!(result)) {                                      \
    return std::unexpected(std::move(result).error());  \
  }                                                     \
  target = *std::move(result)
