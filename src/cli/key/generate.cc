// assertionctl key generate

#include "assertion/key_record.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/key/change.h"
#include "cli/key/flags.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct GenerateKeyOptions {
  std::string client_id;
  std::string hsm;
  NewKeyFlags new_key;
  ChangeFlags change;
  bool json = false;
};

// What a key that no schedule lets sign waits for; empty: the key signs.
std::string NextText(const v1::Key& key) {
  if (ToTime(key.sign_from()) != kNever) {
    return "";
  }
  const auto named = KeyFlags(key.client_id(), key.kid());
  const auto publish = HasReaders(key) ? "put its certificate at the identity server if that holds one certificate: "
                                         "assertionctl certificate get " +
                                             named + "; then "
                                       : std::string();
  return "the client's other key signs on\n  next: " + publish + "assertionctl key schedule " + named +
         " --sign-from now\n";
}

int GenerateKey(const GenerateKeyOptions& options, const std::string& server) {
  v1::GenerateKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_hsm(options.hsm);
  FillNewKey(options.new_key, request);
  return Change(server, &Connection::GenerateKey, request, options.change, options.json, [&](const auto& response) {
    return options.json ? WriteJson(KeyJson(response.key()))
                        : Write("", KeyLine(response.key(), SystemTime()) + NextText(response.key()));
  });
}

}  // namespace

void AddKeyGenerate(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "generate",
                   .summary = "Generate a key pair in the token, and a self-signed certificate. It signs at once if no "
                              "other key of the client signs or has a time to; else when key schedule says so",
                   .examples = "  assertionctl key generate --client-id orders\n"
                               "  assertionctl key generate --client-id orders --bits 3072 --validity-days 730\n"
                               "  assertionctl key generate --client-id orders --algorithm ES256",
                   .statuses = {{0, kDoneOrWaits}}},
                  GenerateKey);
  AddClientId(verb, options.client_id);
  AddHsm(verb, options.hsm, kNewKeyHsm);
  AddNewKey(verb, options.new_key);
  AddChange(verb, options.change, nullptr);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
