#include "cli/key/accepted_ledger.h"

#include <string>

#include "cli/output.h"

namespace assertion::cli {

int WriteAcceptedLedger(const v1::AcceptedLedger& ledger, bool json) {
  if (json) {
    return WriteJson({{"found", ledger.found()}, {"seen", ledger.seen()}, {"version", ledger.version()}});
  }
  return Write("", "the ledger of version " + std::to_string(ledger.found()) + " counts again, as version " +
                       std::to_string(ledger.version()) + "; version " + std::to_string(ledger.seen()) +
                       " was seen before\n  next: revoke again what was revoked since, if anything was: assertionctl "
                       "key list, assertionctl audit show\n");
}

}  // namespace assertion::cli
