// assertionctl key revoke

#include <string>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/change.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct RevokeKeyOptions {
  std::string client_id;
  std::string kid;
  ChangeFlags change;
  bool json = false;
};

int RevokeKey(const RevokeKeyOptions& options, const std::string& server) {
  v1::RevokeKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Change(server, &Connection::RevokeKey, request, options.change, options.json,
                [&](const auto& response, const auto& sent) {
                  const auto& key = response.key();
                  const bool changed = key.version() != sent.change().expected_version();
                  return options.json ? WriteJson(KeyJson(key))
                                      : Write("", KeyText(key, SystemTime()) + TextOfRevocation(key, changed));
                });
}

}  // namespace

void AddKeyRevoke(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "revoke",
                   .summary = "Stop signing with a key and publishing it, now: the emergency brake",
                   .examples = "  assertionctl key revoke --client-id orders --kid=h3Mk…\n"
                               "  assertionctl key revoke --client-id orders --kid=h3Mk… --force orders",
                   .statuses = {{0, kDoneOrWaits}}},
                  RevokeKey);
  AddClientId(verb, options.client_id);
  AddRequiredKid(verb, options.kid);
  AddChange(verb, options.change, "the change leaves the client without a signing key");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
