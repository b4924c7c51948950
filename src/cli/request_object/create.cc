// assertionctl request-object create

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/clock.h"
#include "cli/assertion/flags.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/received_token.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct CreateRequestObjectOptions {
  AssertionFlags claims;  // client id, audience, lifetime and claims mean the same here
  bool json = false;
};

nlohmann::ordered_json RequestObjectJson(const v1::CreateRequestObjectResponse& response) {
  return {{"request_object", response.request_object()},
          {"kid", response.kid()},
          {"jti", response.jti()},
          {"issued_at", Rfc3339(ToTime(response.issued_at()))},
          {"expires_at", Rfc3339(ToTime(response.expires_at()))}};
}

int CreateRequestObject(const CreateRequestObjectOptions& options, const std::string& server) {
  auto wanted = AssertionRequestOf(options.claims);
  if (!wanted) {
    return Report(kUsage, wanted.error().message, "assertionctl request-object create --help");
  }
  v1::CreateRequestObjectRequest request;
  request.set_client_id(wanted->client_id());
  request.set_audience(wanted->audience());
  request.set_claims_json(wanted->extra_claims_json());
  if (wanted->has_lifetime()) {
    *request.mutable_lifetime() = wanted->lifetime();
  }
  return Call(server, &Connection::CreateRequestObject, request, [&](const auto& response) {
    if (const auto received = CheckReceived("request object", response.request_object()); !received) {
      return ReportReceived(received.error());
    }
    return options.json ? WriteJson(RequestObjectJson(response)) : Write("", response.request_object() + "\n");
  });
}

}  // namespace

void AddRequestObjectCreate(Command& request_object) {
  const auto [verb, options] = request_object.AddVerb(
      {.name = "create",
       .summary = "Create a request object and print it: the value of the parameter request",
       .examples = "  assertionctl request-object create --client-id orders --claim 'response_type=\"code\"' \\\n"
                   "    --claim 'scope=\"openid\"' --claim 'redirect_uri=\"https://client.example/callback\"'"},
      CreateRequestObject);
  AddAssertionFlags(verb, options.claims);
  verb->get_option("--lifetime")
      ->description(
          "How long the request object is valid, for example 300s, 5m or 1h; default: the client's default_lifetime");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
