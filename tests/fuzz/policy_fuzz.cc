// Whatever a caller asks for: it is refused, or the claims are the server's own where they must be.

#include <chrono>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "assertion/spiffe_id.h"
#include "jws/object_text.h"
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
    auto acting = client;
    acting.client_id = "acting";
    acting.profile.grant = Grant::kJwtBearer;
    acting.profile.issuer = "{client_id}:{kid}";
    acting.profile.subjects = {"ann", "svc-*@shop.example"};
    acting.profile.scopes = {"read", "write"};
    return Policy(
        {client, acting}, {{.caller = "uid:2", .roles = {Role::kOperator}}}, [] { return Time(kNow); },
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

// What the client "acting" may say of others.
void CheckActing(std::string_view sub, std::string_view scope) {
  const bool service = sub.starts_with("\"svc-") && sub.ends_with("@shop.example\"") &&
                       sub.find_first_of("@ /\\") == sub.size() - std::string_view("@shop.example\"").size();
  Require(sub == R"("acting")" || sub == R"("ann")" || service);
  Require(scope.size() > 2 && scope.find_first_not_of("\" adeirtw") == std::string_view::npos);
}

void Check(std::string_view identity, const std::string& text) {
  Require(identity == "uid:1" || (identity.starts_with("spiffe://example.org/ns/") && IsSpiffeId(identity)));
  const auto claims = jws::ParseObjectText(text);
  Require(claims.has_value());
  std::map<std::string, std::string_view> values;
  for (const auto& [name, value] : claims->members) {
    values[name] = value;
    Require(name == "iss" || name == "sub" || name == "aud" || name == "iat" || name == "exp" || name == "jti" ||
            name == "tenant" || name == "x" || name == "scope");
  }
  if (values["iss"] == R"("acting:")") {
    CheckActing(values["sub"], values["scope"]);
  } else {
    Require(values["iss"] == R"("orders")" && values["sub"] == R"("orders")" && values["scope"].empty());
  }
  Require(values["iat"] == std::to_string(kNow.count()));
  Require(values["aud"] == R"("https://is.example/token")" || values["aud"] == R"("a")");
  const auto lasts = json::parse(values["exp"]).get<std::int64_t>() - kNow.count();
  Require(lasts >= 1 && lasts <= 300);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  const auto identity = Take(text);
  const auto client_id = Take(text);
  const auto audience = Take(text);
  const auto lifetime = Take(text);
  const bool acting = client_id == "acting";
  const auto subject = acting ? Take(text) : std::string();
  const auto scope = acting ? Take(text) : std::string();
  const auto caller = Caller::Authenticated({identity});
  AssertionRequest request{
      .client_id = client_id,
      .audience = audience,
      .lifetime = lifetime.empty() ? std::nullopt : std::optional(std::chrono::seconds(lifetime.front() * 100)),
      .subject = subject,
      .scope = scope};
  // The same claims once as values and once as text.
  const auto extra_claims = json::parse(text, nullptr, /*allow_exceptions=*/false);
  request.extra_claims = extra_claims.is_object() ? &extra_claims : nullptr;
  if (auto approved = ThePolicy().Approve(caller, request)) {
    Check(identity, approved->json());
  }
  request.extra_claims = nullptr;
  request.extra_claims_json = text;
  if (auto approved = ThePolicy().Approve(caller, request)) {
    const auto& claims = approved->json();
    Check(identity, claims);
    const auto written = jws::ParseObjectText(text);
    Require(text.empty() || (written && claims.ends_with(std::string(written->inside) + "}")));
  }
  return 0;
}
