// assertionctl key list

#include <cstdint>
#include <map>
#include <string>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/flags.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct ListKeysOptions {
  std::string hsm;
  bool json = false;
};

nlohmann::ordered_json KeysJson(const v1::ListKeysResponse& response) {
  nlohmann::ordered_json json = {{"keys", nlohmann::ordered_json::array()},
                                 {"versions", nlohmann::ordered_json::object()}};
  for (const auto& key : response.keys()) {
    json["keys"].push_back(KeyJson(key));
  }
  const std::map<std::string, std::int64_t> versions(response.versions().begin(), response.versions().end());
  for (const auto& [client_id, version] : versions) {  // in order
    json["versions"][client_id] = version;
  }
  return json;
}

int ListKeys(const ListKeysOptions& options, const std::string& server) {
  v1::ListKeysRequest request;
  request.set_hsm(options.hsm);
  return Call(server, &Connection::ListKeys, request, [&](const auto& response) {
    return options.json ? WriteJson(KeysJson(response)) : Write("", KeyTable(response, SystemTime()));
  });
}

}  // namespace

void AddKeyList(Command& key) {
  const auto [verb, options] = key.AddVerb({.name = "list",
                                            .summary = "List the keys of all clients: what each does now, since when "
                                                       "and until when, and when its certificate expires",
                                            .examples = "  assertionctl key list\n"
                                                        "  assertionctl key list --json"},
                                           ListKeys);
  AddHsm(verb, options.hsm, "List only keys on the HSM whose token has this label; default: all HSMs");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
