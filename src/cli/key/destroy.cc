// assertionctl key destroy

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/change.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct DestroyKeyOptions {
  std::string client_id;
  std::string kid;
  ChangeFlags change;
  bool json = false;
};

int DestroyKey(const DestroyKeyOptions& options, const std::string& server) {
  auto connection = Connection::Open(server);
  const auto kid = connection ? WholeKid(*connection, options.client_id, options.kid)
                              : Result<std::string>(std::unexpected(connection.error()));
  if (!kid) {
    return ReportCall(kid.error());
  }
  v1::DestroyKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(*kid);
  return Change(server, &Connection::DestroyKey, request, options.change, options.json, [&](const auto& response) {
    return options.json ? WriteJson({{"client_id", options.client_id}, {"kid", *kid}, {"version", response.version()}})
                        : Write("", "key " + *kid + " of client " + options.client_id +
                                        " is destroyed: its key pair and certificate are off the token for good\n");
  });
}

}  // namespace

void AddKeyDestroy(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "destroy",
                   .summary = "Remove a withdrawn key pair and its certificate from the token, permanently",
                   .examples = "  assertionctl key destroy --client-id orders --kid=h3Mk…",
                   .statuses = {{0, kDoneOrWaits}}},
                  DestroyKey);
  AddClientId(verb, options.client_id);
  AddRequiredKid(verb, options.kid);
  AddChange(verb, options.change, "the key is not withdrawn yet, even if that leaves the client without a signing key");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
