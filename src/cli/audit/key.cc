// assertionctl audit key

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct AuditKeyOptions {
  std::string out;
};

int GetAuditKey(const AuditKeyOptions& options, const std::string& server) {
  return Call(server, &Connection::GetAuditHead, {},
              [&](const auto& head) { return Write(options.out, head.jwk() + "\n"); });
}

}  // namespace

void AddAuditKey(Command& audit) {
  const auto [verb, options] = audit.AddVerb({.name = "key",
                                              .summary = "Get the public key that verifies the log, a JWK (RFC 7517)",
                                              .examples = "  assertionctl audit key --out audit.jwk",
                                              .statuses = {{kFile, "a file cannot be written"}}},
                                             GetAuditKey);
  AddOut(verb, options.out);
}

}  // namespace assertion::cli
