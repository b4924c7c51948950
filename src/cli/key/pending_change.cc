#include "cli/key/pending_change.h"

#include "cli/command_line.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/text.h"

namespace assertion::cli {

namespace {

std::string NextOf(const v1::PendingChange& change) {
  const auto id = QuotedForShell(Printable(change.id()));
  if (change.requester_lost_role()) {
    return "its requester may not change keys any more, so nobody can approve it: withdraw it and ask again: "
           "assertionctl key withdraw " +
           id;
  }
  return "until " + Rfc3339(ToTime(change.expires_at())) +
         " another operator with the role approver may approve it: assertionctl key approve " + id +
         " --digest=" + QuotedForShell(Printable(change.digest()));
}

}  // namespace

nlohmann::ordered_json PendingJson(const v1::PendingChange& change) {
  return {{"id", change.id()},
          {"digest", change.digest()},
          {"method", change.method()},
          {"client_id", change.client_id()},
          {"kid", change.kid()},
          {"summary", change.summary()},
          {"requested_by", change.requested_by()},
          {"requester_lost_role", change.requester_lost_role()},
          {"expires_at", Rfc3339(ToTime(change.expires_at()))}};
}

std::string PendingText(const v1::PendingChange& change) {
  return Printable(change.method()) + (change.kid().empty() ? "" : " of key " + Printable(change.kid())) +
         " of client " + Printable(change.client_id()) + ", requested by " + Printable(change.requested_by()) + "\n  " +
         Printable(change.summary()) + "\n  " + NextOf(change) + "\n";
}

int WritePending(const v1::PendingChange& change, bool json) {
  return json ? WriteJson({{"pending", PendingJson(change)}})
              : Write("", "nothing has changed yet: " + PendingText(change));
}

}  // namespace assertion::cli
