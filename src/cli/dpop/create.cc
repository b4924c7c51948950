// assertionctl dpop create

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/bytes.h"
#include "assertion/clock.h"
#include "cli/bearer_token.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/received_token.h"
#include "cli/verbs.h"
#include "cli/whole_number.h"
#include "jws/thumbprint.h"

namespace assertion::cli {
namespace {

constexpr int kNoDescriptor = -1;

struct CreateDpopProofOptions {
  std::string client_id;
  std::string htm;
  std::string htu;
  std::string ath;
  int access_token_fd = kNoDescriptor;
  std::string nonce;
  bool json = false;
};

nlohmann::ordered_json ProofJson(const v1::CreateDpopProofResponse& response) {
  return {{"proof", response.proof()},
          {"kid", response.kid()},
          {"jti", response.jti()},
          {"issued_at", Rfc3339(ToTime(response.issued_at()))}};
}

int CreateDpopProof(const CreateDpopProofOptions& options, const std::string& server) {
  v1::CreateDpopProofRequest request;
  request.set_client_id(options.client_id);
  request.set_htm(options.htm);
  request.set_htu(options.htu);
  request.set_ath(options.ath);
  request.set_nonce(options.nonce);
  if (options.access_token_fd != kNoDescriptor) {
    const auto token = ReadBearerToken(options.access_token_fd);
    if (!token) {
      return ReportFile(token.error());
    }
    request.set_ath(jws::Sha256Thumbprint(AsBytes(*token)));
  }
  return Call(server, &Connection::CreateDpopProof, request, [&](const auto& response) {
    if (const auto received = CheckReceived("proof", response.proof()); !received) {
      return ReportReceived(received.error());
    }
    return options.json ? WriteJson(ProofJson(response)) : Write("", response.proof() + "\n");
  });
}

}  // namespace

void AddDpopCreate(Command& dpop) {
  const auto [verb, options] = dpop.AddVerb(
      {.name = "create",
       .summary = "Create a DPoP proof and print it: the value of the header field DPoP",
       .examples = "  assertionctl dpop create --client-id orders-dpop --htm POST --htu https://is.example/token\n"
                   "  assertionctl dpop create --client-id orders-dpop --htm GET --htu https://api.example/orders "
                   "--access-token-fd 0 < token",
       .statuses = {{kFile, "--access-token-fd cannot be read"}}},
      CreateDpopProof);
  AddClientId(verb, options.client_id);
  verb->add_option("--htm", options.htm, "The HTTP method of the request, in capitals")
      ->required()
      ->type_name("METHOD");
  verb->add_option("--htu", options.htu, "The URL of the request, without query and fragment")
      ->required()
      ->type_name("URL");
  auto* const ath =
      verb->add_option("--ath", options.ath,
                       "Hash of the access token that the request carries: base64url of its SHA-256; default: none")
          ->type_name("HASH");
  verb->add_option("--access-token-fd", options.access_token_fd,
                   "Read that access token from this descriptor, 0 for standard input, and send only its hash")
      ->type_name("N")
      ->check(WholeNumber())
      ->excludes(ath);
  verb->add_option("--nonce", options.nonce, "The server's last DPoP-Nonce; default: none")->type_name("NONCE");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
