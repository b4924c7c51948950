// assertionctl key list

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/flags.h"
#include "cli/key/key_text.h"
#include "cli/key/keys_of_client.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct ListKeysOptions {
  std::string client_id;  // empty: all clients
  std::string hsm;
  bool wide = false;
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
  json["rolled_back_ledgers"] = nlohmann::ordered_json::array();
  for (const auto& ledger : response.rolled_back_ledgers()) {
    json["rolled_back_ledgers"].push_back(
        {{"hsm", ledger.hsm()}, {"client_id", ledger.client_id()}, {"found", ledger.found()}, {"seen", ledger.seen()}});
  }
  return json;
}

int ListKeys(const ListKeysOptions& options, const std::string& server) {
  v1::ListKeysRequest request;
  request.set_hsm(options.hsm);
  return Call(server, &Connection::ListKeys, request, [&](v1::ListKeysResponse response) {
    if (!options.client_id.empty()) {
      if (const auto kept = KeepClient(response, options.client_id); !kept) {
        return ReportCall(kept.error());
      }
    }
    if (options.json) {
      return WriteJson(KeysJson(response));
    }
    const TableLook look{.short_kids = IsTerminal() && !options.wide, .coloured = TakesColour()};
    return WriteOctets("", KeyTable(response, SystemTime(), look));
  });
}

}  // namespace

void AddKeyList(Command& key) {
  const auto [verb, options] = key.AddVerb({.name = "list",
                                            .summary = "List the keys of all clients: what each does now, since when "
                                                       "and until when, and when its certificate expires",
                                            .examples = "  assertionctl key list\n"
                                                        "  assertionctl key list --client-id orders --wide\n"
                                                        "  assertionctl key list --json"},
                                           ListKeys);
  verb->add_option("--client-id", options.client_id, "List only keys of this client; default: all clients")
      ->type_name("ID");
  AddHsm(verb, options.hsm, "List only keys on the HSM whose token has this label; default: all HSMs");
  verb->add_flag("--wide", options.wide,
                 "Show whole kids on a terminal as well, not only as many characters as tell them apart");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
