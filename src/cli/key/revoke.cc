// assertionctl key revoke

#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/change.h"
#include "cli/key/key_text.h"
#include "cli/kid.h"
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

// The key, if it is withdrawn on every HSM that has it: a revocation would only count its version up. Nothing too where
// the caller may not list keys.
std::optional<v1::Key> AlreadyWithdrawn(const RevokeKeyOptions& options, const std::string& server) {
  auto connection = Connection::Open(server);
  const auto list = connection ? connection->ListKeys({}) : std::unexpected(connection.error());
  const auto kid = list ? WholeKid(*connection, options.client_id, options.kid) : std::unexpected(list.error());
  if (!kid) {
    return std::nullopt;
  }
  std::optional<v1::Key> found;
  for (const auto& key : list->keys()) {
    if (key.client_id() != options.client_id || key.kid() != *kid) {
      continue;
    }
    if (key.state() != v1::KEY_STATE_WITHDRAWN) {
      return std::nullopt;
    }
    found = key;
  }
  return found;
}

// What a revocation leaves to do: assertiond stops no one who has the key itself.
std::string AfterRevocation(const v1::Key& key) {
  return HasReaders(key)
             ? "  next: have the identity server forget the key: until then it accepts whatever the key signs. "
               "Where it holds the certificate, remove that there; where it reads the JWK Set, have it read "
               "the set again\n"
             : "  next: nothing: access tokens that are bound to the key end by themselves\n";
}

int WriteKey(const v1::Key& key, bool json, const std::string& more) {
  return json ? WriteJson(KeyJson(key)) : Write("", KeyText(key, SystemTime()) + more);
}

int RevokeKey(const RevokeKeyOptions& options, const std::string& server) {
  if (!options.change.expected_version && options.change.request_id.empty()) {  // both are the server's to check
    if (const auto key = AlreadyWithdrawn(options, server)) {
      return WriteKey(*key, options.json,
                      "this key was withdrawn before: nothing has changed\n" + AfterRevocation(*key));
    }
  }
  v1::RevokeKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Change(server, &Connection::RevokeKey, request, options.change, options.json, [&](const auto& response) {
    return WriteKey(response.key(), options.json,
                    "revoked: it neither signs nor is published from now on\n" + AfterRevocation(response.key()));
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
