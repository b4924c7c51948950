// Whatever a caller asks for: it is refused, or the claims are the server's own where they must be.

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/spiffe_id.h"
#include "policy/policy.h"

namespace {

using namespace assertion;
using nlohmann::json;

constexpr std::chrono::seconds kNow(1'800'000'000);

const Policy& ThePolicy() {
  static const Policy policy = [] {
    Client client;
    client.client_id = "orders";
    client.audiences = {"https://is.example/token", "a"};
    client.extra_claims = {"tenant", "x"};
    client.callers = {"uid:1", "spiffe://example.org/ns/*"};
    return Policy(
        {client}, {{.caller = "uid:2", .roles = {Role::kOperator}}}, [] { return Time(kNow); },
        [](std::span<std::uint8_t> octets) {
          std::ranges::fill(octets, 7);
          return true;
        });
  }();
  return policy;
}

// The text up to the next NUL; takes it off.
std::string Take(std::string& text) {
  const auto end = text.find('\0');
  auto first = text.substr(0, end);
  text.erase(0, end == std::string::npos ? text.size() : end + 1);
  return first;
}

void Require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  const auto identity = Take(text);
  const auto client_id = Take(text);
  const auto audience = Take(text);
  const auto lifetime = Take(text);
  const auto extra_claims = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool has_lifetime = !lifetime.empty();
  const auto caller = Caller::Authenticated({identity});
  auto approved = ThePolicy().Approve(
      caller, {.client_id = client_id,
               .audience = audience,
               .lifetime = has_lifetime ? std::optional(std::chrono::seconds(lifetime.front() * 100)) : std::nullopt,
               .extra_claims = extra_claims.is_object() ? &extra_claims : nullptr});
  if (!approved) {
    return 0;
  }
  Require(identity == "uid:1" || (identity.starts_with("spiffe://example.org/ns/") && IsSpiffeId(identity)));
  const auto claims = json::parse(std::move(*approved).TakeJson());
  Require(claims["iss"] == "orders" && claims["sub"] == "orders" && claims["iat"] == kNow.count());
  Require(claims["aud"] == "https://is.example/token" || claims["aud"] == "a");
  const auto lasts = claims["exp"].get<std::int64_t>() - kNow.count();
  Require(lasts >= 1 && lasts <= 300);
  for (const auto& [name, value] : claims.items()) {
    Require(name == "iss" || name == "sub" || name == "aud" || name == "iat" || name == "exp" || name == "jti" ||
            name == "tenant" || name == "x");
  }
  return 0;
}
