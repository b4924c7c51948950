// assertionctl key adopt

#include <CLI/CLI.hpp>
#include <utility>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/change.h"
#include "cli/key/examined_key.h"
#include "cli/key/flags.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

// No call of the server lists what is on a token.
constexpr const char* kWhereIdsAre =
    "pkcs11-tool --module MODULE --login --list-objects --type privkey shows the CKA_ID of each private key; "
    "assertionctl doctor --config FILE those under a client's name that are in no ledger. --hsm names another HSM";

struct AdoptKeyOptions {
  std::string client_id;
  std::string cka_id;  // hexadecimal
  std::string kid;     // "": show the key
  std::string certificate_file;
  std::string hsm;
  NewKeyFlags new_key;  // no bits
  ChangeFlags change;
  bool json = false;
};

std::string OctetsOf(const std::string& hex) {
  const auto octets = ParseHex(hex).value_or(Bytes());
  return {octets.begin(), octets.end()};
}

int ShowCandidate(const AdoptKeyOptions& options, const std::string& server) {
  v1::ExamineKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_cka_id(OctetsOf(options.cka_id));
  request.set_hsm(options.hsm);
  request.set_algorithm(options.new_key.algorithm);
  auto connection = Connection::Open(server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  const auto key = Ask(*connection, &Connection::ExamineKey, request);
  if (!key) {
    return key.error().code == Code::kNotFound && key.error().message.starts_with("cka_id:")
               ? Report(kRefused, key.error().message, kWhereIdsAre)
               : ReportCall(key.error());
  }
  const int written =
      options.json ? WriteJson(ExaminedKeyJson(*key)) : Write("", ExaminedKeyText(*key, options.client_id));
  return written == 0 && !key->obstacles().empty() ? kRefused : written;
}

int AdoptKey(const AdoptKeyOptions& options, const std::string& server) {
  if (options.kid.empty()) {
    return ShowCandidate(options, server);
  }
  v1::AdoptKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_cka_id(OctetsOf(options.cka_id));
  request.set_kid(options.kid);
  request.set_hsm(options.hsm);
  FillNewKey(options.new_key, request);
  if (!options.certificate_file.empty()) {
    auto certificates = ReadText(options.certificate_file);
    if (!certificates) {
      return ReportFile(certificates.error());
    }
    request.set_certificates(std::move(*certificates));
  }
  return Change(server, &Connection::AdoptKey, request, options.change, options.json, [&](const auto& response) {
    return options.json ? WriteJson(KeyJson(response.key()))
                        : Write("", "adopted " + KeyLine(response.key(), SystemTime()));
  });
}

}  // namespace

void AddKeyAdopt(Command& key) {
  const auto [verb, options] = key.AddVerb(
      {.name = "adopt",
       .summary = "Take over a key pair that other means made on the token, for example in a key ceremony. Without "
                  "--kid: show the key and whether the client can adopt it",
       .examples = "  assertionctl key adopt --client-id orders --cka-id 0a1b2c\n"
                   "  assertionctl key adopt --client-id orders --cka-id 0a1b2c --kid=h3Mk…\n"
                   "  assertionctl key adopt --client-id orders --cka-id 0a1b2c --kid=h3Mk… --certificate chain.pem",
       .notes =
           "It signs at once if no other key of the client signs or has a time to; else it is staged: key schedule "
           "sets its sign_from.",
       .statuses = {{0, kDoneOrWaits},
                    {kRefused, "the server refused, or without --kid: the client cannot adopt the key"},
                    {kFile, "the certificate cannot be read"}}},
      AdoptKey);
  AddClientId(verb, options.client_id);
  verb->add_option("--cka-id", options.cka_id, "CKA_ID of the key pair, 1 to 32 octets in hexadecimal")
      ->required()
      ->check([](const std::string& hex) {
        return hex.empty() || !ParseHex(hex) ? std::string("must be pairs of hexadecimal digits") : std::string();
      })
      ->type_name("HEX");
  verb->add_option("--kid", options.kid,
                   "Adopt the key if it has this kid, which the verb shows without --kid; write a kid that begins with "
                   "a hyphen as --kid=-…; default: change nothing")
      ->type_name("KID");
  auto* certificate =
      verb->add_option(
              "--certificate", options.certificate_file,
              "The key's certificate, then the issuer of each: PEM, at most 10 certificates and 64 KiB; or one "
              "certificate in DER. -: standard input; default: make a self-signed certificate")
          ->type_name("FILE");
  AddHsm(verb, options.hsm, "Label of the token that holds the key; default: the first configured HSM");
  AddAlgorithm(verb, options.new_key);
  for (auto* made : AddCertificateWishes(verb, options.new_key)) {
    made->excludes(certificate);
  }
  AddChange(verb, options.change, nullptr);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
