#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <utility>

namespace assertion {

// What went wrong, as far as anybody decides by it. The first group answers callers (the gRPC status of the same name);
// the second stops a start (each has its own exit status, see ExitStatus in src/main.cc).
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
  kKeyAmbiguous,
  kKeyUnproven,
  kLedgerUnusable,
  kAddressUnusable,
  kAuditUnusable,
  kTlsUnusable,
};

// An error is a value. `message` may be shown to the caller: what was wrong and what to do. `detail` is for the log
// only: the failing call and its answer. Neither ever holds a secret.
struct Error {
  Code code;
  std::string message;
  std::string detail;
  std::chrono::milliseconds retry_delay{};  // 0: nobody can say

  // For a log or an operator's terminal.
  std::string ToString() const { return detail.empty() ? message : message + " (" + detail + ")"; }
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> Fail(Code code, std::string message, std::string detail = {}) {
  return std::unexpected(Error{.code = code, .message = std::move(message), .detail = std::move(detail)});
}

}  // namespace assertion
