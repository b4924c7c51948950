// The fields of a client that say what its key may sign: purposes and request_object.

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/request_object.h"
#include "config/sections.h"
#include "config/text.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr std::array<std::string_view, 9> kFieldsOfAssertions = {"typ", "subject",    "subjects", "scopes",      "nbf",
                                                                 "jti", "jti_length", "grant",    "extra_claims"};
constexpr std::array<std::string_view, 11> kFieldsOfParties = {
    "profile",          "kid",          "kids",      "header", "jku", "issuer", "audiences", "audience_as_list",
    "default_lifetime", "max_lifetime", "clock_skew"};

// Adds an error for each field that has no effect with the client's purposes.
void RefuseFields(Fields& entry, std::span<const std::string_view> names, const std::string& why) {
  for (const auto name : names) {
    if (entry.Take(name, false) != nullptr) {
      entry.Refuse(name, "has no effect: " + why);
    }
  }
}

std::vector<std::string> TakeRedirectUris(Fields& section) {
  std::vector<std::string> uris;
  for (auto& uri : section.TakeEntries("redirect_uris", false)) {
    if (FindInvisible(uri.text) || !uri.text.contains(':') || uri.text.contains('#')) {
      section.errors().Add(uri.line, uri.path, "must be an absolute URI without fragment (RFC 6749 section 3.1.2)");
    }
    uris.push_back(std::move(uri.text));
  }
  return uris;
}

void TakeParameters(Fields& section, RequestObjectRules& rules) {
  if (section.Take("claims", false) == nullptr) {
    return;
  }
  rules.claims.clear();
  for (auto& claim : section.TakeEntries("claims", false)) {
    if (const auto* const reserved = FindReservedParameter(claim.text); reserved != nullptr) {
      section.errors().Add(claim.line, claim.path, std::string(reserved->why));
    } else if (const auto invisible = FindInvisible(claim.text)) {
      section.errors().Add(claim.line, claim.path, "has " + *invisible + ", which no parameter's name has");
    }
    rules.claims.insert(std::move(claim.text));
  }
}

}  // namespace

void ReadPurposes(Fields& entry, Client& client) {
  const auto* const list = entry.Take<Node::Array>("purposes", false, "a list of purposes");
  if (list == nullptr) {
    return;
  }
  if (list->empty()) {
    entry.Refuse("purposes", "must name at least one purpose");
    return;
  }
  std::vector<std::string_view> names;
  std::ranges::transform(kPurposes, std::back_inserter(names), &ProfileWord<Purpose>::name);
  std::vector<Purpose> purposes;
  for (const auto& word : entry.TakeEntries("purposes", false)) {
    const auto* const found = std::ranges::find(kPurposes, word.text, &ProfileWord<Purpose>::name);
    if (found == kPurposes.end()) {
      entry.errors().Add(word.line, word.path,
                         "must be one of: client_assertion, dpop, request_object" + DidYouMean(word.text, names));
    } else {
      purposes.push_back(found->value);
    }
  }
  client.purposes = purposes.empty() ? client.purposes : std::move(purposes);
  if (IsForDpopAlone(client)) {
    RefuseFields(entry, kFieldsOfAssertions, "purposes names dpop alone");
    RefuseFields(entry, kFieldsOfParties, "purposes names dpop alone");
    client.sign_with_expired_certificate = true;  // the verifier of a proof sees no certificate
  } else if (!client.IsFor(Purpose::kClientAssertion)) {
    RefuseFields(entry, kFieldsOfAssertions, "purposes does not name client_assertion");
  }
}

bool IsForDpopAlone(const Client& client) { return client.purposes == std::vector{Purpose::kDpop}; }

void ReadRequestObject(Fields& entry, Client& client) {
  constexpr seconds kLongestLifetime = std::chrono::hours(1);
  auto section = entry.TakeObject("request_object");
  if (!client.IsFor(Purpose::kRequestObject)) {
    if (section) {
      entry.Refuse("request_object", "is for the purpose request_object only");
    }
    client.request_object.claims.clear();  // nothing asks for them; for 10,000 clients they take 20 MB
    return;
  }
  if (client.profile.grant != Grant::kClientAuthentication) {
    entry.Refuse("purposes", "request_object is for the grant client-authentication only, and profile \"" +
                                 client.profile.name + "\" is for " +
                                 std::string(NameOf(kGrants, client.profile.grant)));
  }
  if (client.max_lifetime > kLongestLifetime) {
    entry.Refuse("max_lifetime", "must be at most 1h with the purpose request_object (FAPI 2.0 Message Signing)");
  }
  if (section) {
    TakeParameters(*section, client.request_object);
    client.request_object.redirect_uris = TakeRedirectUris(*section);
    section->RefuseTheRest();
  }
}

}  // namespace assertion
