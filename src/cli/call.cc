#include "cli/call.h"

#include "cli/output.h"

namespace assertion::cli {

std::string AdviceOn(const Error& error) {
  switch (error.code) {
    case Code::kAddressUnusable:
      return "start it with assertiond --config FILE, or name its socket with --server unix:/path";
    case Code::kInvalidArgument:
      return "correct what the message names; what a client may ask for is in assertiond's configuration";
    case Code::kNotFound:
      return "assertionctl key list shows the clients of assertiond's configuration and their keys";
    case Code::kAborted:
      return "nothing was changed; assertionctl key list shows the present keys: if the change is still wanted, "
             "run it again, with the present version if it has --expected-version";
    case Code::kUnavailable:
      return "assertionctl doctor --config FILE shows what is wrong with the HSM";
    default:
      return "assertionctl key list shows the keys, what each does now and until when";
  }
}

int ReportCall(const Error& error) {
  return Report(error.code == Code::kAddressUnusable ? kUnreachable : kRefused, error.message, AdviceOn(error));
}

}  // namespace assertion::cli
