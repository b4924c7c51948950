// assertionctl key: its verbs and their options. What they do is in key_question.cc (those that ask), key_change.cc
// (those that change), cut_over.cc and evidence_commands.cc.

#include <CLI/CLI.hpp>
#include <string>

#include "cli/command.h"
#include "cli/cut_over.h"
#include "cli/evidence_commands.h"
#include "cli/key_change.h"
#include "cli/key_options.h"
#include "cli/key_question.h"
#include "cli/wso2_commands.h"

namespace assertion::cli {
namespace {

constexpr const char* kTimes =
    "TIME is now, never, a span from now on (+90s, +15m, +2h, +1d), or a time in UTC (2026-11-24T12:00:00Z).";

constexpr const char* kWhere = "The HSM that makes it, by its token's label; default: the first configured";

// Of a group's options, all but --help.
constexpr auto kOwn = [](const CLI::Option* option) { return option->get_configurable(); };

void AddGenerate(CLI::App* noun, Options& options, int& status) {
  auto* generate =
      AddVerb(noun, "generate",
              "Make a key pair in the token, with a self-signed certificate. A client's first key signs at "
              "once, any other when key schedule says so",
              "  assertionctl key generate --client-id orders\n"
              "  assertionctl key generate --client-id orders --bits 3072 --validity-days 730\n"
              "  assertionctl key generate --client-id orders --algorithm ES256",
              status, [&options] { return GenerateKey(options); });
  AddClientId(generate, options);
  AddHsm(generate, options, kWhere);
  AddNewKey(generate, options.new_key);
  AddChange(generate, options.change, nullptr);
  AddJson(generate, options);
}

void AddQuestions(CLI::App* noun, Options& options, int& status) {
  auto* list = AddVerb(noun, "list",
                       "The keys of all clients: what each does now, since when and until when, and when its "
                       "certificate expires",
                       "  assertionctl key list\n  assertionctl key list --json", status,
                       [&options] { return ListKeys(options); });
  AddHsm(list, options, "Only those of the HSM whose token has this label; default: of all");
  AddJson(list, options);
  auto* show = AddVerb(noun, "show", "Everything about one key",
                       "  assertionctl key show --client-id orders\n"
                       "  assertionctl key show --client-id orders --kid=h3Mkk8qC3hMeSBjHfAmBQBjXqGdi6Azqri1diWzpfYE",
                       status, [&options] { return ShowKey(options); });
  AddClientId(show, options);
  AddDefaultedKid(show, options);
  AddJson(show, options);
  auto* csr = AddVerb(noun, "csr", "A certificate signing request (PKCS#10) in PEM, signed by the key in the token",
                      "  assertionctl key csr --client-id orders --out orders.csr\n"
                      "  assertionctl key csr --client-id orders --subject 'CN=orders,O=Example Ltd,C=DE' \\\n"
                      "    --san DNS:orders.example.com --san URI:spiffe://example.com/orders",
                      status, [&options] { return CreateCsr(options); });
  AddClientId(csr, options);
  AddDefaultedKid(csr, options);
  csr->add_option("--subject", options.subject, "As RFC 4514 writes it; default: CN= and the client id")
      ->type_name("NAME");
  csr->add_option(
         "--san", options.subject_alt_names,
         "Subject alternative name, DNS:…, URI:…, email:… or IP:…; may be repeated, at most 100; default: none")
      ->allow_extra_args(false)
      ->type_name("NAME");
  AddOut(csr, options);
}

void AddImport(CLI::App* noun, Options& options, int& status) {
  auto* import =
      AddVerb(noun, "import-certificate", "Replace a key's certificate by one that a certification authority issued",
              "  assertionctl key import-certificate --client-id orders --kid=h3Mk… --certificate orders-chain.pem",
              status, [&options] { return ImportCertificate(options); });
  AddClientId(import, options);
  AddRequiredKid(import, options);
  import
      ->add_option("--certificate", options.certificate_file,
                   "The key's certificate, then each one's issuer: PEM, at most 10 certificates and 64 KiB; or one in "
                   "DER. -: standard input")
      ->required()
      ->type_name("FILE");
  AddChange(import, options.change, nullptr);
  AddJson(import, options);
}

// --publish and the options of its own: they need it, and it needs those of them that are required.
CLI::Option* AddPublish(CLI::App* rotate, Options& options) {
  auto* group = rotate->add_option_group("With --publish wso2");
  AddWso2Options(group, options);
  AddTokenEndpoint(group, options.token);
  group->add_option("--audience", options.audience, "aud of the trial; default: the client's first configured audience")
      ->type_name("URL");
  group
      ->add_option("--kid", options.kid,
                   "Go on with this key of an attempt before instead of making one; one that begins with a hyphen as "
                   "--kid=-…")
      ->type_name("KID");
  auto* publish = rotate
                      ->add_option("--publish", options.publish,
                                   "Cut over at an identity server that holds one certificate: upload the new one, "
                                   "prove it with one token request, switch; default: no server is told")
                      ->check(CLI::IsMember({"wso2"}))
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

void AddRotate(CLI::App* noun, Options& options, int& status) {
  auto* rotate =
      AddVerb(noun, "rotate", "Make a client's next key and say when it takes over",
              "  assertionctl key rotate --client-id orders\n"
              "  assertionctl key rotate --client-id orders --sign-from +2h\n"
              "  assertionctl key rotate --client-id orders --algorithm ES256\n"
              "  assertionctl key rotate --client-id orders --publish wso2 --base-url https://localhost:9443 \\\n"
              "    --application 394b8adc-ce24-4c64-8a09-a0d80abf8c33 --token-file token \\\n"
              "    --token-endpoint https://localhost:9443/oauth2/token\n\n" +
                  std::string(kTimes),
              status, [&options] { return options.publish.empty() ? RotateKey(options) : CutOverAtWso2(options); });
  AddClientId(rotate, options);
  AddHsm(rotate, options, kWhere);
  AddNewKey(rotate, options.new_key);
  auto* publish = AddPublish(rotate, options);
  auto* alone = rotate->add_option_group("Without --publish");
  AddInstant(alone, "--sign-from", options.instants.sign_from,
             "When the new key takes over; default: after publish_lead with the binding jwks, else never");
  AddChange(alone, options.change, "though the new key has been published for less than publish_lead by then");
  for (auto* option : alone->get_options(kOwn)) {
    option->excludes(publish);
  }
  AddJson(rotate, options);
}

void AddSchedule(CLI::App* noun, Options& options, int& status) {
  auto* schedule =
      AddVerb(noun, "schedule",
              "Move the times of a key; give at least one. The key that signs at the new --sign-from stops "
              "then, and is withdrawn when its last assertion has expired",
              "  assertionctl key schedule --client-id orders --kid=h3Mk… --sign-from now\n"
              "  assertionctl key schedule --client-id orders --kid=h3Mk… --sign-until +1d\n\n" +
                  std::string(kTimes),
              status, [&options] { return ScheduleKey(options); });
  AddClientId(schedule, options);
  AddRequiredKid(schedule, options);
  auto& instants = options.instants;
  AddInstant(schedule, "--publish-from", instants.publish_from, "In the JWK Set from then on");
  AddInstant(schedule, "--sign-from", instants.sign_from, "Signs from then on");
  AddInstant(schedule, "--sign-until", instants.sign_until, "Signs until just before then");
  AddInstant(schedule, "--publish-until", instants.publish_until, "In the JWK Set until just before then");
  AddChange(schedule, options.change,
            "though the client is left without a key that signs, or its binding asks for other times");
  AddJson(schedule, options);
}

void AddEnds(CLI::App* noun, Options& options, int& status) {
  auto* revoke = AddVerb(noun, "revoke", "End signing and publication of a key now: the emergency brake",
                         "  assertionctl key revoke --client-id orders --kid=h3Mk…\n"
                         "  assertionctl key revoke --client-id orders --kid=h3Mk… --force orders",
                         status, [&options] { return RevokeKey(options); });
  AddClientId(revoke, options);
  AddRequiredKid(revoke, options);
  AddChange(revoke, options.change, "though the client is left without a key that signs");
  AddJson(revoke, options);
  auto* destroy = AddVerb(noun, "destroy", "Remove a withdrawn key's pair and certificate from the token, for good",
                          "  assertionctl key destroy --client-id orders --kid=h3Mk…", status,
                          [&options] { return DestroyKey(options); });
  AddClientId(destroy, options);
  AddRequiredKid(destroy, options);
  AddChange(destroy, options.change,
            "though the key is not withdrawn yet, even if the client is left without a key that signs");
  AddJson(destroy, options);
}

void AddAcceptLedger(CLI::App* noun, Options& options, int& status) {
  auto* accept = AddVerb(noun, "accept-ledger",
                         "Make a client's ledger count that is older than one that was seen, as after the token was "
                         "restored from a backup; keys that were revoked since may sign again",
                         "  assertionctl key accept-ledger --client-id orders --version 3 --force orders", status,
                         [&options] { return AcceptLedger(options); });
  AddClientId(accept, options);
  AddHsm(accept, options, "The HSM whose ledger it is, by its token's label; default: the first");
  accept
      ->add_option("--version", options.change.expected_version,
                   "The version that is on the token now, as /readyz and the log tell it; 0: the ledger is lost, begin "
                   "without keys")
      ->required()
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  AddRequestId(accept, options.change);
  accept->add_option("--force", options.change.force_client_id, "The client id once more")
      ->required()
      ->type_name("CLIENT-ID");
  AddJson(accept, options);
}

void AddApproval(CLI::App* noun, Options& options, int& status) {
  const auto add_id = [&](CLI::App* verb) {
    verb->add_option("id", options.change_id, "As key pending shows it")->required()->type_name("ID");
  };
  auto* pending = AddVerb(noun, "pending", "The changes that wait for a second operator",
                          "  assertionctl key pending\n  assertionctl key pending --json", status,
                          [&options] { return ListPendingChanges(options); });
  AddJson(pending, options);
  auto* approve =
      AddVerb(noun, "approve", "Do a change that another operator asked for",
              "  assertionctl key approve 5f0c… --digest=q8Zt…", status, [&options] { return ApproveChange(options); });
  add_id(approve);
  approve->add_option("--digest", options.change_digest, "What is approved, as key pending shows it")
      ->required()
      ->type_name("DIGEST");
  AddJson(approve, options);
  auto* withdraw = AddVerb(noun, "withdraw", "Drop a change that waits", "  assertionctl key withdraw 5f0c…", status,
                           [&options] { return WithdrawChange(options); });
  add_id(withdraw);
}

}  // namespace

void AddKeyNoun(CLI::App& app, Options& options, int& status) {
  auto* noun = AddNoun(app, "key", "Key pairs inside the token: make, certify, schedule, rotate, revoke, destroy");
  AddGenerate(noun, options, status);
  AddQuestions(noun, options, status);
  AddImport(noun, options, status);
  AddRotate(noun, options, status);
  AddSchedule(noun, options, status);
  AddEnds(noun, options, status);
  AddAcceptLedger(noun, options, status);
  AddApproval(noun, options, status);
  AddEvidenceVerb(noun, options, status);
}

}  // namespace assertion::cli
