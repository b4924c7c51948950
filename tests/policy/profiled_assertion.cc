#include "policy/profiled_assertion.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/signing_input.h"
#include "jws/base64url.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "keys/signing_key.h"

namespace assertion {
namespace {

constexpr Time kNow{std::chrono::seconds(1'700'000'000)};

std::string Decoded(std::string_view part) {
  const auto octets = jws::Base64UrlDecode(part).value();
  return {octets.begin(), octets.end()};
}

// The private halves of these keys are published, so nobody may trust them.
PublicKey PublishedKey(const Algorithm& algorithm) {
  const auto text =
      algorithm.curve == nullptr
          ? std::string(R"({"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx)") +
                "4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXAr"
                "wl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5haj"
                "rn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFC"
                R"(ur-kEgU8awapJzKnqDKgw"})"
          : R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
            R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
  return jws::ParseJwk(nlohmann::json::parse(text)).value();
}

Result<SigningKey> Key(const Client& client, bool certified) {
  const auto key = PublishedKey(*client.algorithm);
  ASSIGN_OR_RETURN(auto verifier, x509::Verifier::New(key, *client.algorithm));
  std::vector<Certificate> chain;
  if (certified) {
    for (const auto* const der : {"leaf", "issuer"}) {  // only their octets matter here
      const auto octets = AsBytes(der);
      chain.push_back({.der = {octets.begin(), octets.end()}, .public_key = key, .not_before = {}, .not_after = {}});
    }
  }
  return SigningKey{.client_id = client.client_id,
                    .algorithm = client.algorithm,
                    .id = {},
                    .public_key = key,
                    .kid = jws::JwkThumbprint(key),
                    .chain = std::move(chain),
                    .verifier = std::move(verifier)};
}

template <typename Request>
Result<Unsigned> Vetted(Client client, const Request& request, bool certified) {
  client.callers = {"uid:1"};
  const Policy policy(
      {client}, {}, [] { return kNow; },
      [](std::span<std::uint8_t> octets) {
        std::ranges::fill(octets, 0xFF);
        return true;
      });
  ASSIGN_OR_RETURN(const auto claims, policy.Approve(Caller::Authenticated({"uid:1"}), request));
  ASSIGN_OR_RETURN(const auto key, Key(client, certified));
  ASSIGN_OR_RETURN(const auto input, AssertionInput(key, claims));
  const auto& text = input.text();
  const auto dot = text.find('.');
  return Unsigned{.header = Decoded(std::string_view(text).substr(0, dot)), .claims = Decoded(text.substr(dot + 1))};
}

}  // namespace

Result<Unsigned> ProfiledAssertion(Client client, const AssertionRequest& request, bool certified) {
  return Vetted(std::move(client), request, certified);
}

Result<Unsigned> UnsignedDpopProof(Client client, const DpopProofRequest& request) {
  return Vetted(std::move(client), request, /*certified=*/false);
}

Result<Unsigned> UnsignedRequestObject(Client client, const RequestObjectRequest& request) {
  return Vetted(std::move(client), request, /*certified=*/false);
}

}  // namespace assertion
