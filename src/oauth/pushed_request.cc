#include "oauth/pushed_request.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "assertion/bytes.h"
#include "jws/foreign_json.h"
#include "jws/thumbprint.h"

namespace assertion::oauth {

bool IsCodeVerifier(std::string_view text) {
  constexpr std::size_t kShortest = 43;
  constexpr std::size_t kLongest = 128;
  return text.size() >= kShortest && text.size() <= kLongest && std::ranges::all_of(text, IsUnreserved);
}

FormFields PushedFields(std::string_view code_verifier) {
  FormFields fields = {{"response_type", "code"}};
  if (!code_verifier.empty()) {
    fields.emplace_back("code_challenge", jws::Sha256Thumbprint(AsBytes(code_verifier)));
    fields.emplace_back("code_challenge_method", "S256");
  }
  return fields;
}

std::optional<PushedAnswer> PushedAnswerOf(const HttpAnswer& answer) {
  constexpr int kCreated = 201;
  const auto body = jws::ParseForeign(answer.body);
  if (answer.status != kCreated || !body.is_object() || !body.contains("request_uri") ||
      !body["request_uri"].is_string() || !body.contains("expires_in") || !body["expires_in"].is_number_integer()) {
    return std::nullopt;
  }
  return PushedAnswer{.request_uri = body["request_uri"].get<std::string>(),
                      .expires_in = body["expires_in"].get<std::int64_t>()};
}

std::string AuthorizationUrl(const std::string& authorization_endpoint, const std::string& client_id,
                             const std::string& request_uri) {
  return authorization_endpoint + (authorization_endpoint.contains('?') ? "&" : "?") +
         EncodeForm({{"client_id", client_id}, {"request_uri", request_uri}});
}

}  // namespace assertion::oauth
