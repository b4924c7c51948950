#include "cli/received_token.h"

#include "cli/output.h"
#include "config/text.h"

namespace assertion::cli {

Status CheckReceived(const std::string& what, std::string_view token) {
  if (token.empty()) {
    return Fail(Code::kUnavailable, "the server's " + what + " is empty");
  }
  const auto invisible = FindInvisible(token);
  return invisible ? Fail(Code::kUnavailable, "the server's " + what + " is none: it holds " + *invisible) : Status();
}

int ReportReceived(const Error& error) {
  return Report(kRefused, error.message, "check that --server names assertiond");
}

}  // namespace assertion::cli
