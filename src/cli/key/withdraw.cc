// assertionctl key withdraw

#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct WithdrawOptions {
  std::string id;
};

int WithdrawChange(const WithdrawOptions& options, const std::string& server) {
  v1::WithdrawChangeRequest request;
  request.set_id(options.id);
  return Call(server, &Connection::WithdrawChange, request,
              [&](const auto& /*response*/) { return Write("", "change " + options.id + " is withdrawn\n"); });
}

}  // namespace

void AddKeyWithdraw(Command& key) {
  const auto [verb, options] = key.AddVerb({.name = "withdraw",
                                            .summary = "Withdraw a change that waits for approval",
                                            .examples = "  assertionctl key withdraw 5f0c…"},
                                           WithdrawChange);
  verb->add_option("id", options.id, "Id of the change, as key pending shows it")->required()->type_name("ID");
}

}  // namespace assertion::cli
