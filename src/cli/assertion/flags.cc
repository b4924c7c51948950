#include "cli/assertion/flags.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/flags.h"
#include "config/duration.h"
#include "jws/object_text.h"

namespace assertion::cli {
namespace {

// Joins name=json arguments into the text of one JSON object. Each value keeps its spelling.
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

void AddAssertionFlags(CLI::App* verb, AssertionFlags& flags) {
  AddClientId(verb, flags.client_id);
  verb->add_option("--audience", flags.audience, "The claim aud; default: the client's first configured audience")
      ->type_name("URL");
  verb->add_option(
          "--lifetime", flags.lifetime,
          "How long the assertion is valid, for example 300s, 5m or 1h; default: the client's default_lifetime")
      ->type_name("SPAN");
  verb->add_option("--claim", flags.claims,
                   "Add a claim that the configuration allows; its JSON is signed as written; may be repeated")
      ->type_name("NAME=JSON")
      ->allow_extra_args(false);
}

void AddGrantFlags(CLI::App* verb, AssertionFlags& flags) {
  verb->add_option("--subject", flags.subject,
                   "The claim sub: one of the client's configured subjects; default: the client's own")
      ->type_name("SUBJECT");
  verb->add_option("--scope", flags.scope,
                   "The claim scope: configured scopes with blanks between; default: all of them, if there are any")
      ->type_name("SCOPE");
}

Result<v1::CreateAssertionRequest> AssertionRequestOf(const AssertionFlags& flags) {
  v1::CreateAssertionRequest request;
  request.set_client_id(flags.client_id);
  request.set_audience(flags.audience);
  request.set_subject(flags.subject);
  request.set_scope(flags.scope);
  if (!flags.lifetime.empty()) {
    const auto lifetime = ParseDuration(flags.lifetime);
    if (!lifetime) {
      return Fail(Code::kInvalidArgument, "--lifetime must be digits and s, m or h, for example 300s");
    }
    request.mutable_lifetime()->set_seconds(lifetime->count());
  }
  ASSIGN_OR_RETURN(auto claims, ClaimsOf(flags.claims));
  request.set_extra_claims_json(std::move(claims));
  return request;
}

}  // namespace assertion::cli
