// assertionctl jwks get

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct GetJwksOptions {
  std::string client_id;
  std::string out;
};

int GetJwks(const GetJwksOptions& options, const std::string& server) {
  v1::GetJwksRequest request;
  request.set_client_id(options.client_id);
  return Call(server, &Connection::GetJwks, request,
              [&](const auto& response) { return Write(options.out, response.jwks() + "\n"); });
}

}  // namespace

void AddJwksGet(Command& jwks) {
  const auto [verb, options] = jwks.AddVerb({.name = "get",
                                             .summary = "Get the public keys of a client",
                                             .examples = "  assertionctl jwks get --client-id orders --out jwks.json",
                                             .statuses = {{kFile, "a file cannot be written"}}},
                                            GetJwks);
  AddClientId(verb, options.client_id);
  AddOut(verb, options.out);
}

}  // namespace assertion::cli
