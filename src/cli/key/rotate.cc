// assertionctl key rotate

#include "cli/key/rotate.h"

#include <CLI/CLI.hpp>
#include <set>
#include <string>

#include "assertion/key_record.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/key/cut_over.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

// Says which key takes over, when, and what is left to do. `forced`: the identity server may not know the key then.
std::string RotationText(const v1::RotateKeyResponse& rotation, bool forced, Time now) {
  const auto& key = rotation.key();
  const auto named = KeyFlags(key.client_id(), key.kid());
  const auto sign_from = ToTime(key.sign_from());
  auto text = "new " + KeyLine(key, now);
  if (!rotation.has_predecessor()) {
    return text + "no other key signs now\n";
  }
  const auto& predecessor = rotation.predecessor();
  if (predecessor.algorithm() != key.algorithm()) {
    text += "the algorithm changes from " + Printable(predecessor.algorithm()) + " to " + Printable(key.algorithm()) +
            ": the identity server must accept it for this client\n";
  }
  if (sign_from == kNever) {
    return text + "key " + Printable(predecessor.kid()) + " signs until the new one takes over\n  next: " +
           (HasReaders(key) ? "assertionctl certificate get " + named +
                                  " gives the certificate for the identity server; once it is there, "
                            : std::string()) +
           "assertionctl key schedule " + named + " --sign-from now\n";
  }
  text += "it takes over from key " + Printable(predecessor.kid()) + " on " + Rfc3339(sign_from) + " (" +
          Relative(sign_from, now) + "); that one is withdrawn on " + InstantText(ToTime(predecessor.publish_until())) +
          "\n";
  if (!HasReaders(key)) {
    return text + "  next: nothing: each DPoP proof carries its key\n";
  }
  if (forced) {
    return text +
           "  next: the identity server refuses the new key's assertions until it knows the key: have it read the JWK "
           "Set again, or put the new certificate there: assertionctl certificate get " +
           named + "\n";
  }
  return text +
         "  next: nothing where the identity server reads the JWK Set again and again; where it loads it with its "
         "configuration only (profile lemonldap), reload it before that moment; where it holds one certificate, put "
         "the new one there at that moment: assertionctl certificate get " +
         named + "\n";
}

// The client's other keys that no schedule lets sign, which earlier rotations left; empty: none, or not known.
std::string StagedText(const std::string& server, const v1::Key& next) {
  auto connection = Connection::Open(server);
  const auto list = connection ? connection->ListKeys({}) : std::unexpected(connection.error());
  if (!list) {
    return "";
  }
  std::set<std::string> staged;
  for (const auto& key : list->keys()) {
    if (key.client_id() == next.client_id() && key.kid() != next.kid() && ToTime(key.sign_from()) == kNever &&
        key.state() != v1::KEY_STATE_WITHDRAWN) {
      staged.insert(Printable(key.kid()));
    }
  }
  std::string text;
  for (const auto& kid : staged) {
    text.append("key ").append(kid);
    text.append(
        " waits too, from an earlier key generate or key rotate: it signs when key schedule says so; if it is not "
        "wanted: ");
    text.append("assertionctl key revoke ").append(KeyFlags(next.client_id(), kid)).append("\n");
  }
  return text;
}

nlohmann::ordered_json RotationJson(const v1::RotateKeyResponse& rotation) {
  return {{"key", KeyJson(rotation.key())},
          {"predecessor", rotation.has_predecessor() ? KeyJson(rotation.predecessor()) : nlohmann::ordered_json()}};
}

int RotateKey(const RotateKeyOptions& options, const std::string& server) {
  if (!options.publish.server.empty()) {
    return CutOverAtWso2(options, server);
  }
  v1::RotateKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_hsm(options.hsm);
  FillNewKey(options.new_key, request);
  if (options.sign_from) {
    *request.mutable_sign_from() = ToTimestamp(*options.sign_from);
  }
  const bool forced = !options.change.force_client_id.empty();
  return Change(server, &Connection::RotateKey, request, options.change, options.json, [&](const auto& rotation) {
    return options.json ? WriteJson(RotationJson(rotation))
                        : Write("", RotationText(rotation, forced, SystemTime()) + StagedText(server, rotation.key()));
  });
}

// All options of a group but --help.
constexpr auto kOwn = [](const CLI::Option* option) { return option->get_configurable(); };

// Adds --publish and its flags: they need it, and it needs those that AddWso2Flags and AddTokenEndpoint require.
CLI::Option* AddPublish(CLI::App* rotate, PublishFlags& flags) {
  auto* group = rotate->add_option_group("With --publish wso2");
  AddWso2Flags(group, flags.wso2);
  AddTokenEndpoint(group, flags.token);
  group
      ->add_option("--audience", flags.audience,
                   "The claim aud of the trial assertion; default: the client's first configured audience")
      ->type_name("URL");
  group
      ->add_option("--kid", flags.kid,
                   "Continue with this key of an earlier attempt instead of generating one; write a kid that begins "
                   "with a hyphen as --kid=-…")
      ->type_name("KID");
  auto* publish = rotate
                      ->add_option("--publish", flags.server,
                                   "Cut over at an identity server that holds one certificate: upload the new one, "
                                   "prove it with one token request, switch; default: no identity server is changed")
                      ->check(OneOf({"wso2"}))
                      ->type_name("SERVER");
  for (auto* option : group->get_options(kOwn)) {
    option->needs(publish);
    if (option->get_required()) {
      option->required(false);
      publish->needs(option);
    }
  }
  return publish;
}

}  // namespace

void AddKeyRotate(Command& key) {
  const auto [verb, options] = key.AddVerb(
      {.name = "rotate",
       .summary = "Generate a client's next key and set when it takes over",
       .examples = "  assertionctl key rotate --client-id orders\n"
                   "  assertionctl key rotate --client-id orders --sign-from +2h\n"
                   "  assertionctl key rotate --client-id orders --algorithm ES256\n"
                   "  assertionctl key rotate --client-id orders --publish wso2 --base-url https://localhost:9443 \\\n"
                   "    --application 394b8adc-ce24-4c64-8a09-a0d80abf8c33 --token-file token \\\n"
                   "    --token-endpoint https://localhost:9443/oauth2/token",
       .notes = kInstantHelp,
       .statuses = {{0, kDoneOrWaits},
                    {kFile, "a file of --publish cannot be read"},
                    {kUnreachable, "assertiond or the identity server cannot be reached"},
                    {kRefusedByIdentityServer, "the identity server of --publish refused"}}},
      RotateKey);
  AddClientId(verb, options.client_id);
  AddHsm(verb, options.hsm, kNewKeyHsm);
  AddNewKey(verb, options.new_key);
  verb->get_option("--algorithm")
      ->description(
          "JWS algorithm of the new key; default: the client's in the configuration. Required when that takes another "
          "kind of key than the one that signs now");
  auto* publish = AddPublish(verb, options.publish);
  auto* alone = verb->add_option_group("Without --publish");
  AddInstant(alone, "--sign-from", options.sign_from, options.change,
             "When the new key takes over; default: after publish_lead with the binding jwks, else never");
  AddChange(alone, options.change,
            "the new key takes over before the identity server can know it: at once, or with the binding jwks after "
            "less than publish_lead of publication");
  for (auto* option : alone->get_options(kOwn)) {
    option->excludes(publish);
  }
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
