#include "cli/call.h"

namespace assertion::cli {

int ReportCall(const Error& error) {
  switch (error.code) {
    case Code::kAddressUnusable:
      return Report(kUnreachable, error.message,
                    "start it with assertiond --config FILE, or name its socket with --server unix:/path");
    case Code::kInvalidArgument:
      return Report(kRefused, error.message, "what a client may ask for is in assertiond's configuration");
    case Code::kNotFound:
      return Report(kRefused, error.message, "correct --client-id, or add the client to assertiond's configuration");
    case Code::kUnavailable:
      return Report(kRefused, error.message, "assertionctl doctor --config FILE shows what is wrong with the HSM");
    default:
      return Report(kRefused, error.message, "assertionctl key list shows the keys there are");
  }
}

}  // namespace assertion::cli
