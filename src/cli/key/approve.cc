// assertionctl key approve

#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/accepted_ledger.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct ApproveOptions {
  std::string id;
  std::string digest;
  bool json = false;
};

int ApproveChange(const ApproveOptions& options, const std::string& server) {
  v1::ApproveChangeRequest request;
  request.set_id(options.id);
  request.set_digest(options.digest);
  return Call(server, &Connection::ApproveChange, request, [&](const auto& response) {
    if (response.has_ledger()) {
      return WriteAcceptedLedger(response.ledger(), options.json);
    }
    if (options.json) {
      return WriteJson({{"key", response.has_key() ? KeyJson(response.key()) : nlohmann::ordered_json()}});
    }
    if (!response.has_key()) {
      return Write("", "the key is destroyed\n");
    }
    const auto& key = response.key();
    return Write("",
                 KeyText(key, SystemTime()) + (key.state() == v1::KEY_STATE_WITHDRAWN ? TextOfRevocation(key) : ""));
  });
}

}  // namespace

void AddKeyApprove(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "approve",
                   .summary = "Approve a change that another operator requested; it is done at once",
                   .examples = "  assertionctl key approve 5f0c… --digest=q8Zt…"},
                  ApproveChange);
  verb->add_option("id", options.id, "Id of the change, as key pending shows it")->required()->type_name("ID");
  verb->add_option("--digest", options.digest, "Digest of the change, as key pending shows it")
      ->required()
      ->type_name("DIGEST");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
