// assertionctl key import

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "assertion/secret.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/change.h"
#include "cli/key/flags.h"
#include "cli/key/key_text.h"
#include "cli/key/secret_input.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/whole_number.h"
#include "p11/pin.h"
#include "x509/private_key.h"

namespace assertion::cli {
namespace {

constexpr std::size_t kLongestPem = 16384;
constexpr std::size_t kLongestPassphrase = 1024;

struct ImportKeyOptions {
  std::string client_id;
  int key_fd = STDIN_FILENO;
  int passphrase_fd = -1;  // -1: OpenSSL asks on the terminal
  std::string hsm;
  NewKeyFlags new_key;  // no bits
  ChangeFlags change;
  bool json = false;
};

Result<std::optional<Secret>> ReadPassphrase(int descriptor) {
  if (descriptor < 0) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(const auto line, ReadSecret(descriptor, kLongestPassphrase, "the passphrase"));
  const auto octets = line.view();
  return Secret(octets.back() == '\n' ? octets.first(octets.size() - 1) : octets);
}

// The private key as PKCS#8 in DER.
Result<Secret> ReadKey(const ImportKeyOptions& options) {
  if (!p11::DenyInspection()) {
    return Fail(Code::kConfigInvalid, "the private key is not read: this process cannot be shielded",
                "setrlimit, prctl");
  }
  ASSIGN_OR_RETURN(const auto pem, ReadSecret(options.key_fd, kLongestPem, "the private key"));
  ASSIGN_OR_RETURN(const auto passphrase, ReadPassphrase(options.passphrase_fd));
  return x509::ReadPemKey(pem.view(), passphrase);
}

int ImportKey(const ImportKeyOptions& options, const std::string& server) {
  const auto key = ReadKey(options);
  if (!key) {
    return Report(kFile, key.error().ToString(),
                  key.error().code == Code::kUnavailable
                      ? "give --passphrase-fd, for example --passphrase-fd 3 3< <(fetch-the-passphrase)"
                      : "assertionctl key import --help shows how to pipe a key; the client needs imported_keys true "
                        "in assertiond's configuration");
  }
  v1::ImportKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_private_key(key->view().data(), key->size());
  request.set_hsm(options.hsm);
  FillNewKey(options.new_key, request);
  return Change(server, &Connection::ImportKey, std::move(request), options.change, options.json,
                [&](const auto& response) {
                  return options.json ? WriteJson(KeyJson(response.key()))
                                      : Write("", "imported " + KeyLine(response.key(), SystemTime()));
                });
}

}  // namespace

void AddKeyImport(Command& key) {
  const auto [verb, options] = key.AddVerb(
      {.name = "import",
       .summary =
           "Put a private key that another party made into the token, for example a GitHub App's. It cannot leave "
           "the token from then on. The client needs imported_keys true in the configuration",
       .examples = "  fetch-the-key | assertionctl key import --client-id github-app\n"
                   "  assertionctl key import --client-id github-app --key-fd 3 3< <(fetch-the-key)",
       .notes =
           "The key is read as PEM (PKCS#8, PKCS#1 or SEC 1; at most 16 KiB) from a pipe or a socket, never from a "
           "file, an argument or a terminal. An encrypted key's passphrase is asked for on the terminal, or read "
           "from --passphrase-fd.\n"
           "It signs at once if no other key of the client signs or has a time to; else it is staged: key schedule "
           "sets its sign_from.\n"
           "Other copies of the key may exist: destroy them, and rotate to a generated key where the party lets "
           "you.",
       .statuses = {{kFile, "the key or its passphrase cannot be read, or standard output cannot be written"}}},
      ImportKey);
  AddClientId(verb, options.client_id);
  verb->add_option("--key-fd", options.key_fd, "Descriptor to read the private key from; default: 0, standard input")
      ->check(WholeNumber())
      ->type_name("N");
  verb->add_option("--passphrase-fd", options.passphrase_fd,
                   "Descriptor to read the passphrase from, one line of at most 1024 octets, a pipe or a socket; "
                   "default: ask on the terminal")
      ->check(WholeNumber())
      ->type_name("N");
  AddHsm(verb, options.hsm, "Label of the token that takes the key; default: the first configured HSM");
  AddAlgorithm(verb, options.new_key);
  AddCertificateWishes(verb, options.new_key);
  AddChange(verb, options.change, nullptr);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
