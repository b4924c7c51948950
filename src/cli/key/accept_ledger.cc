// assertionctl key accept-ledger

#include <CLI/CLI.hpp>
#include <string_view>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/accepted_ledger.h"
#include "cli/key/change.h"
#include "cli/key/flags.h"
#include "cli/verbs.h"
#include "cli/whole_number.h"

namespace assertion::cli {
namespace {

struct AcceptLedgerOptions {
  std::string client_id;
  std::string hsm;
  ChangeFlags change;
  bool json = false;
};

// The error, with this verb's --version in place of the field of the request that it begins with.
Error NamingVersion(Error error) {
  for (const std::string_view field : {"change.expected_version: ", "expected_version: "}) {
    if (error.message.starts_with(field)) {
      error.message.replace(0, field.size(), "--version: ");
    }
  }
  return error;
}

int AcceptLedger(const AcceptLedgerOptions& options, const std::string& server) {
  v1::AcceptLedgerRequest request;
  request.set_client_id(options.client_id);
  request.set_hsm(options.hsm);
  const auto response = SendChange(server, &Connection::AcceptLedger, request, options.change);
  if (!response) {
    return ReportCall(NamingVersion(response.error()));
  }
  return response->has_pending() ? WritePending(response->pending(), options.json)
                                 : WriteAcceptedLedger(response->ledger(), options.json);
}

}  // namespace

void AddKeyAcceptLedger(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "accept-ledger",
                   .summary = "Accept a client's ledger although a newer one was seen, for example after the token was "
                              "restored from a backup; keys that were revoked since may sign again",
                   .examples = "  assertionctl key accept-ledger --client-id orders --version 3 --force orders",
                   .statuses = {{0, kDoneOrWaits}}},
                  AcceptLedger);
  AddClientId(verb, options.client_id);
  AddHsm(verb, options.hsm, "Label of the token that holds the ledger; default: that of the first configured HSM");
  verb->add_option("--version", options.change.expected_version,
                   "Version of the ledger that is on the token now, which /readyz and the log show; 0: the ledger is "
                   "lost, start without keys")
      ->required()
      ->check(WholeNumber())
      ->type_name("N");
  AddRequestId(verb, options.change);
  verb->add_option("--force", options.change.force_client_id, "Confirm by repeating the client id")
      ->required()
      ->type_name("CLIENT-ID");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
