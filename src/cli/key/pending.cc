// assertionctl key pending

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/pending_change.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct PendingOptions {
  bool json = false;
};

nlohmann::ordered_json AllPendingJson(const v1::ListPendingChangesResponse& response) {
  nlohmann::ordered_json json = {{"pending", nlohmann::ordered_json::array()}};
  for (const auto& change : response.changes()) {
    json["pending"].push_back(PendingJson(change));
  }
  return json;
}

std::string AllPendingText(const v1::ListPendingChangesResponse& response) {
  std::string text;
  for (const auto& change : response.changes()) {
    text += PendingText(change);
  }
  return text.empty() ? "no change waits\n" : text;
}

int ListPendingChanges(const PendingOptions& options, const std::string& server) {
  return Call(server, &Connection::ListPendingChanges, {}, [&](const auto& response) {
    return options.json ? WriteJson(AllPendingJson(response)) : Write("", AllPendingText(response));
  });
}

}  // namespace

void AddKeyPending(Command& key) {
  const auto [verb, options] = key.AddVerb({.name = "pending",
                                            .summary = "List the changes that wait for a second operator",
                                            .examples = "  assertionctl key pending\n"
                                                        "  assertionctl key pending --json"},
                                           ListPendingChanges);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
