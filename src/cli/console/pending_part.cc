#include "cli/console/pending_part.h"

#include <vector>

#include "cli/console/page.h"
#include "cli/html.h"
#include "cli/instant.h"
#include "cli/text.h"

namespace assertion::cli {

std::string PendingFacts(const v1::PendingChange& change, Time now) {
  const auto until = ToTime(change.expires_at());
  std::string html = "<h3>" + Escaped(change.method() + " for client " + change.client_id()) + "</h3>\n";
  if (!change.kid().empty()) {
    html += "<p>Key <code>" + Escaped(change.kid()) + "</code></p>\n";
  }
  return html + Paragraph(change.summary()) +
         Paragraph("Requested by " + change.requested_by() + ". " +
                       (change.requester_lost_role()
                            ? "Its requester may not change keys any more, so nobody can "
                              "approve it: refuse it and ask again."
                            : "It may be approved until " + Rfc3339(until) + " (" + Relative(until, now) + ")."),
                   "quiet") +
         "<p>Digest <code class=\"digest\">" + Escaped(change.digest()) + "</code></p>\n";
}

std::string PendingPart(const v1::ListPendingChangesResponse& pending, Time now) {
  if (pending.changes().empty()) {
    return Paragraph("No change waits.", "quiet");
  }
  std::string html;
  for (const auto& change : pending.changes()) {
    const std::vector<Parameter> named = {{.name = "id", .value = change.id()}};
    html += PendingFacts(change, now) + "<p class=\"actions\">" +
            (change.requester_lost_role() ? "" : Link("approve", named, "Approve")) +
            Link("withdraw", named, "Refuse") + "</p>\n";
  }
  return html;
}

}  // namespace assertion::cli
