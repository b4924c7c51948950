#include "cli/assertion_request.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/duration.h"
#include "jws/object_text.h"

namespace assertion::cli {
namespace {

// name=json, repeated, as the text of one object: every value as it was written.
Result<std::string> ClaimsOf(const std::vector<std::string>& claims) {
  std::string members;
  std::set<std::string_view> names;
  for (const auto& claim : claims) {
    const auto equals = claim.find('=');
    const auto name = std::string_view(claim).substr(0, equals);
    const auto member = equals == std::string::npos
                            ? std::string()
                            : nlohmann::json(name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                                  ':' + claim.substr(equals + 1);
    const std::string object = '{' + member + '}';
    const auto parsed = jws::ParseObjectText(object);
    if (name.empty() || !parsed || parsed->members.size() != 1) {
      return Fail(Code::kInvalidArgument,
                  "--claim must be name=json, for example --claim 'tenant=\"acme\"', not '" + claim + "'");
    }
    if (!names.insert(name).second) {
      return Fail(Code::kInvalidArgument, "--claim " + std::string(name) + " is repeated");
    }
    members += (members.empty() ? "" : ",") + member;
  }
  return members.empty() ? members : '{' + members + '}';
}

}  // namespace

void AddAssertionOptions(CLI::App* verb, Options& options) {
  AddClientId(verb, options);
  verb->add_option("--audience", options.audience, "aud; default: the client's first configured audience")
      ->type_name("URL");
  verb->add_option("--lifetime", options.lifetime, "exp - iat, with s, m or h; default: the client's")
      ->type_name("300s");
  verb->add_option("--claim", options.claims,
                   "Add a claim that the configuration allows, signed as it is written; may be repeated")
      ->type_name("NAME=JSON")
      ->allow_extra_args(false);
}

Result<v1::CreateAssertionRequest> AssertionRequestOf(const Options& options) {
  v1::CreateAssertionRequest request;
  request.set_client_id(options.client_id);
  request.set_audience(options.audience);
  if (!options.lifetime.empty()) {
    const auto lifetime = ParseDuration(options.lifetime);
    if (!lifetime) {
      return Fail(Code::kInvalidArgument, "--lifetime must be digits and s, m or h, for example 300s");
    }
    request.mutable_lifetime()->set_seconds(lifetime->count());
  }
  ASSIGN_OR_RETURN(auto claims, ClaimsOf(options.claims));
  request.set_extra_claims_json(std::move(claims));
  return request;
}

}  // namespace assertion::cli
