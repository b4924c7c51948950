#include "policy/profiled_assertion.h"

#include <algorithm>
#include <chrono>
#include <span>

#include "assertion/signing_input.h"
#include "jws/base64url.h"
#include "jws/compact.h"

namespace assertion {
namespace {

constexpr Time kNow{std::chrono::seconds(1'700'000'000)};

std::string Decoded(std::string_view part) {
  const auto octets = jws::Base64UrlDecode(part).value();
  return {octets.begin(), octets.end()};
}

}  // namespace

Result<Unsigned> ProfiledAssertion(Client client, const AssertionRequest& request) {
  client.callers = {"uid:1"};
  const Policy policy(
      {client}, {}, [] { return kNow; },
      [](std::span<std::uint8_t> octets) {
        std::ranges::fill(octets, 0xFF);
        return true;
      });
  ASSIGN_OR_RETURN(const auto claims, policy.Approve(Caller::Authenticated({"uid:1"}), request));
  const auto header = jws::EncodedHeader(*client.algorithm, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  const auto text = AssertionInput(header, claims).text();
  const auto dot = text.find('.');
  return Unsigned{.header = Decoded(std::string_view(text).substr(0, dot)), .claims = Decoded(text.substr(dot + 1))};
}

}  // namespace assertion
