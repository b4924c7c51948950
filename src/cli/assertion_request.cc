#include "cli/assertion_request.h"

#include <google/protobuf/util/json_util.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/duration.h"

namespace assertion::cli {
namespace {

// Whether every number survives the way through google.protobuf.Struct, which knows doubles only.
bool IsExact(const nlohmann::json& value) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53U;
  if (value.is_structured()) {
    return std::ranges::all_of(value, IsExact);
  }
  if (value.is_number_unsigned()) {
    return value.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMost);
  }
  return !value.is_number_integer() || value.get<std::int64_t>() >= -kMost;
}

// name=json, repeated, as one object.
Result<nlohmann::json> ParseClaims(const std::vector<std::string>& claims) {
  auto object = nlohmann::json::object();
  for (const auto& claim : claims) {
    const auto equals = claim.find('=');
    const auto name = claim.substr(0, equals);
    auto value = equals == std::string::npos
                     ? nlohmann::json(nlohmann::json::value_t::discarded)
                     : nlohmann::json::parse(claim.substr(equals + 1), nullptr, /*allow_exceptions=*/false);
    if (name.empty() || value.is_discarded()) {
      return Fail(Code::kInvalidArgument,
                  "--claim must be name=json, for example --claim 'tenant=\"acme\"', not '" + claim + "'");
    }
    if (!IsExact(value)) {
      return Fail(Code::kInvalidArgument, "--claim " + name + ": whole numbers beyond 2^53 lose digits: send a string");
    }
    if (object.contains(name)) {
      return Fail(Code::kInvalidArgument, "--claim " + name + " is repeated");
    }
    object[name] = std::move(value);
  }
  return object;
}

}  // namespace

void AddAssertionOptions(CLI::App* verb, Options& options) {
  AddClientId(verb, options);
  verb->add_option("--audience", options.audience, "aud; default: the client's first configured audience")
      ->type_name("URL");
  verb->add_option("--lifetime", options.lifetime, "exp - iat, with s, m or h; default: the client's")
      ->type_name("300s");
  verb->add_option("--claim", options.claims, "Add a claim that the configuration allows; may be repeated")
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
  const auto claims = ParseClaims(options.claims);
  if (!claims) {
    return std::unexpected(claims.error());
  }
  if (!claims->empty() &&
      !google::protobuf::util::JsonStringToMessage(claims->dump(), request.mutable_extra_claims()).ok()) {
    return Fail(Code::kInvalidArgument, "--claim has a value that cannot be sent");
  }
  return request;
}

}  // namespace assertion::cli
