#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace assertion {

// How the JOSE header names the key (kid, RFC 7515 section 4.1.4). kAssigned: by a text that the other party gave to
// the key, see Profile::kids.
enum class KidForm { kThumbprint, kX5t, kX5tS256, kAssigned, kNone };

// Members of the JOSE header that show the key or its certificate (RFC 7515 sections 4.1.2 to 4.1.8).
enum class HeaderMember { kX5t, kX5tS256, kX5c, kJwk, kJku };

enum class JtiForm { kUuid, kHex, kNone };

// The use of an assertion. kClientAuthentication: RFC 7523 section 2.2. kJwtBearer: RFC 7523 section 2.1, an
// authorization grant. kBearerToken: an API takes it as the bearer token itself.
enum class Grant { kClientAuthentication, kJwtBearer, kBearerToken };

// The texts that a client's key signs. kClientAssertion: assertions, whatever their grant. kDpop: DPoP proofs (RFC
// 9449). kRequestObject: authorization requests as JWTs (RFC 9101).
enum class Purpose { kClientAssertion, kDpop, kRequestObject };

template <typename Value>
struct ProfileWord {
  Value value;
  std::string_view name;
};

// The words of the configuration.
inline constexpr std::array<ProfileWord<KidForm>, 5> kKidForms = {{{KidForm::kThumbprint, "thumbprint"},
                                                                   {KidForm::kX5t, "x5t"},
                                                                   {KidForm::kX5tS256, "x5t#S256"},
                                                                   {KidForm::kAssigned, "assigned"},
                                                                   {KidForm::kNone, "none"}}};
inline constexpr std::array<ProfileWord<HeaderMember>, 5> kHeaderMembers = {{{HeaderMember::kX5t, "x5t"},
                                                                             {HeaderMember::kX5tS256, "x5t#S256"},
                                                                             {HeaderMember::kX5c, "x5c"},
                                                                             {HeaderMember::kJwk, "jwk"},
                                                                             {HeaderMember::kJku, "jku"}}};
inline constexpr std::array<ProfileWord<JtiForm>, 3> kJtiForms = {
    {{JtiForm::kUuid, "uuid"}, {JtiForm::kHex, "hex"}, {JtiForm::kNone, "none"}}};
inline constexpr std::array<ProfileWord<Grant>, 3> kGrants = {{{Grant::kClientAuthentication, "client-authentication"},
                                                               {Grant::kJwtBearer, "jwt-bearer"},
                                                               {Grant::kBearerToken, "bearer-token"}}};

inline constexpr std::array<ProfileWord<Purpose>, 3> kPurposes = {{{Purpose::kClientAssertion, "client_assertion"},
                                                                   {Purpose::kDpop, "dpop"},
                                                                   {Purpose::kRequestObject, "request_object"}}};

template <typename Value, std::size_t Count>
constexpr std::string_view NameOf(const std::array<ProfileWord<Value>, Count>& words, Value value) {
  return std::ranges::find(words, value, &ProfileWord<Value>::value)->name;
}

inline constexpr std::string_view kDefaultProfile = "wso2";

// The form of what a client's key signs for one purpose: header, claims, and which of them a caller may choose. The
// initial values are those of assertions for WSO2 Identity Server. See preset.h for the other presets.
struct Profile {
  std::string name{kDefaultProfile};
  std::string typ = "JWT";  // empty: no typ
  KidForm kid = KidForm::kThumbprint;
  std::map<std::string, std::string, std::less<>> kids = {};  // kAssigned: thumbprint of the key to its kid
  std::vector<HeaderMember> header = {};                      // in this order, after typ
  std::string jku = {};                                       // with HeaderMember::kJku
  std::string issuer = "{client_id}";                         // a template, see template.h
  std::string subject = "{client_id}";                        // a template; empty: no sub, unless the caller names one
  // The values that a caller may choose for sub: texts, or patterns with one "*", see Policy. Empty: nothing.
  std::vector<std::string> subjects = {};
  std::vector<std::string> scopes = {};  // the claim scope, and what a caller may name instead; empty: no such claim
  std::chrono::seconds backdate{0};      // iat and nbf are this long before now, 0 s to 60 s
  bool nbf = false;                      // with the claim nbf, equal to iat
  JtiForm jti = JtiForm::kUuid;
  std::size_t jti_length = 32;  // kHex: digits, 32 to 64
  Grant grant = Grant::kClientAuthentication;
  Purpose purpose = Purpose::kClientAssertion;

  friend bool operator==(const Profile&, const Profile&) = default;
};

}  // namespace assertion
