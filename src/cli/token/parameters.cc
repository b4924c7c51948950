#include "cli/token/parameters.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "assertion/foreign_text.h"
#include "config/text.h"

namespace assertion::cli {
namespace {

constexpr std::size_t kMostOfParameter = 80;

struct ReservedParameter {
  std::string_view name;
  std::string_view why;
};

constexpr std::string_view kMade = "is the assertion that assertiond makes";
constexpr std::string_view kSecret = "is a secret, which other users of this machine could read in the process list";

constexpr std::array<ReservedParameter, 25> kReservedParameters = {{
    {"grant_type", "is what --grant sets"},
    {"client_id", "is what --client-id sets"},
    {"client_assertion", kMade},
    {"client_assertion_type", kMade},
    {"assertion", kMade},
    {"scope", "is what --scope sets"},
    {"resource", "is what --resource sets"},
    {"code", "is what --code sets"},
    {"redirect_uri", "is what --redirect-uri sets"},
    {"code_verifier", "is what --code-verifier sets"},
    {"code_challenge", "follows from --code-verifier"},
    {"code_challenge_method", "is S256, with --code-verifier"},
    {"response_type", "is code, with --par"},
    {"request", "would replace the other parameters (RFC 9101)"},
    {"request_uri", "is what --par asks for"},
    {"client_secret", "is what the assertion replaces"},
    {"password", kSecret},
    {"refresh_token", kSecret},
    {"device_code", kSecret},
    {"pre-authorized_code", kSecret},
    {"tx_code", kSecret},
    {"auth_req_id", kSecret},
    {"id_token_hint", kSecret},
    {"subject_token", kSecret},
    {"actor_token", kSecret},
}};

// RFC 6749 section 8.2.
bool IsParameterName(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._").contains(c);
  });
}

}  // namespace

Result<oauth::FormFields> ParametersOf(const std::vector<std::string>& flags) {
  oauth::FormFields fields;
  for (const auto& flag : flags) {
    const auto equals = std::min(flag.find('='), flag.size());
    const auto name = flag.substr(0, equals);
    const auto value = flag.substr(std::min(equals + 1, flag.size()));
    if (!IsParameterName(name) || value.empty()) {
      return Fail(Code::kInvalidArgument,
                  "--param must be NAME=VALUE with a value and a name of A-Z a-z 0-9 - . _, for example --param "
                  "audience=https://api.example.com, not " +
                      Quoted(name, kMostOfParameter));
    }
    // Some servers ignore the case of names.
    const auto* const reserved = std::ranges::find(kReservedParameters, LowerCase(name), &ReservedParameter::name);
    if (reserved != kReservedParameters.end()) {
      return Fail(Code::kInvalidArgument,
                  std::string("--param ").append(name).append(": ").append(name).append(" ").append(reserved->why));
    }
    if (std::ranges::find(fields, name, &oauth::FormFields::value_type::first) != fields.end()) {
      return Fail(Code::kInvalidArgument, "--param " + name + " is repeated (RFC 6749 section 3.2)");
    }
    fields.emplace_back(name, value);
  }
  return fields;
}

}  // namespace assertion::cli
