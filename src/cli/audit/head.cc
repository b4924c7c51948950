// assertionctl audit head

#include <nlohmann/json.hpp>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct AuditHeadOptions {
  bool json = false;
};

int ShowAuditHead(const AuditHeadOptions& options, const std::string& server) {
  return Call(server, &Connection::GetAuditHead, {}, [&](const auto& head) {
    return options.json ? WriteJson({{"sequence", head.sequence()},
                                     {"hash", head.hash()},
                                     {"checkpoint_sequence", head.checkpoint_sequence()}})
                        : Write("", TableText({{"sequence", std::to_string(head.sequence())},
                                               {"hash", head.hash()},
                                               {"checkpoint", std::to_string(head.checkpoint_sequence())}},
                                              false));
  });
}

}  // namespace

void AddAuditHead(Command& audit) {
  const auto [verb, options] =
      audit.AddVerb({.name = "head",
                     .summary = "Show how far the log goes. Keep the answer elsewhere, for audit verify --head",
                     .examples = "  assertionctl audit head\n"
                                 "  assertionctl audit head --json >head.json"},
                    ShowAuditHead);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
