#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "config/config.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kUsual = R"("client_id": "orders", "audiences": ["https://is.example.com/token"])";

// A configuration whose client is on line 3.
std::expected<Config, std::vector<std::string>> Parse(const std::string& fields, const std::string& usual = kUsual) {
  return ParseConfig(
      "{\"hsm\": \"pkcs11:token=t?module-path=/m.so&pin-source=file:/p\",\n\"listen\": \"unix:/s\",\n"
      "\"clients\": [{\"callers\": [\"uid:1\"], " +
          usual + ", " + fields + "}]}",
      "/state");
}

Profile ProfileOf(const std::string& fields) {
  const auto config = Parse(fields);
  EXPECT_TRUE(config) << fields << ": " << (config ? "" : config.error().front());
  return config ? config->clients.front().profile : Profile();
}

TEST(ProfileFields, TheDefaultIsWso2) {
  EXPECT_EQ(ProfileOf(R"("profile": "wso2")"), Profile());
  EXPECT_EQ(ProfileOf(R"("clock_skew": "0s")"), Profile());
}

TEST(ProfileFields, EveryFieldIsRead) {
  const auto profile = ProfileOf(
      R"("typ": "client-authentication+jwt", "kid": "assigned",
         "kids": {"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": "theirs"}, "header": ["x5c", "x5t#S256", "jku"],
         "jku": "https://a.example/jwks", "issuer": "{client_id}.x", "subject": "s", "subjects": ["a", "b-*"],
         "scopes": ["read"], "backdate": "30s", "nbf": true, "jti": "hex", "jti_length": 40, "grant": "jwt-bearer")");
  EXPECT_EQ(profile.typ, "client-authentication+jwt");
  EXPECT_EQ(profile.kid, KidForm::kAssigned);
  EXPECT_EQ(profile.kids.at("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"), "theirs");
  EXPECT_EQ(profile.header, (std::vector{HeaderMember::kX5c, HeaderMember::kX5tS256, HeaderMember::kJku}));
  EXPECT_EQ(profile.jku, "https://a.example/jwks");
  EXPECT_EQ(profile.issuer, "{client_id}.x");
  EXPECT_EQ(profile.subject, "s");
  EXPECT_EQ(profile.subjects, (std::vector<std::string>{"a", "b-*"}));
  EXPECT_EQ(profile.scopes, std::vector<std::string>{"read"});
  EXPECT_EQ(profile.backdate, seconds(30));
  EXPECT_TRUE(profile.nbf);
  EXPECT_EQ(profile.jti, JtiForm::kHex);
  EXPECT_EQ(profile.jti_length, 40U);
  EXPECT_EQ(profile.grant, Grant::kJwtBearer);
}

TEST(ProfileFields, APresetDecidesAlgorithmLifetimesAndTheFormOfAud) {
  const auto apis = Parse(R"("profile": "gematik-zeta")");
  ASSERT_TRUE(apis) << apis.error().front();
  EXPECT_TRUE(apis->clients.front().audience_as_list);
  EXPECT_EQ(apis->clients.front().algorithm->name, "ES256");
  const auto keycloak = Parse(R"("profile": "keycloak")");
  ASSERT_TRUE(keycloak);
  EXPECT_EQ(keycloak->clients.front().default_lifetime, seconds(60));
  EXPECT_EQ(keycloak->clients.front().max_lifetime, seconds(60));
}

TEST(ProfileFields, BackdateIsUpToAMinuteAndShorterThanTheLifetime) {
  EXPECT_EQ(ProfileOf(R"("backdate": "0s")").backdate, seconds(0));
  EXPECT_EQ(ProfileOf(R"("backdate": "60s")").backdate, seconds(60));
  EXPECT_FALSE(Parse(R"("backdate": "61s")"));
  const auto config = Parse(R"("backdate": "60s", "default_lifetime": "60s")");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().front(),
            "3: clients[0].backdate: must be shorter than default_lifetime, which is counted from iat");
}

struct WrongFields {
  const char* fields;
  const char* error;  // how it begins
};

class WrongProfileFields : public testing::TestWithParam<WrongFields> {};

TEST_P(WrongProfileFields, AreNamedWithTheirLine) {
  const auto config = Parse(GetParam().fields);
  ASSERT_FALSE(config) << GetParam().fields;
  EXPECT_TRUE(config.error().front().starts_with(std::string("3: clients[0].") + GetParam().error))
      << config.error().front();
}

INSTANTIATE_TEST_SUITE_P(
    ProfileFields, WrongProfileFields,
    testing::Values(
        WrongFields{R"("profile": "entra")", "profile: is none of: wso2, keycloak, entra-id,"},
        WrongFields{R"("profile": "entra-id", "typ": "at+jwt")",
                    "typ: cannot differ from profile \"entra-id\"; these can: header, backdate"},
        WrongFields{R"("profile": "keycloak", "issuer": "x")", "issuer: cannot differ from profile \"keycloak\""},
        WrongFields{R"("profile": "keycloak", "subjects": ["x"])", "subjects: cannot differ from profile"},
        WrongFields{R"("profile": "keycloak", "audience_as_list": true)",
                    "audience_as_list: cannot differ from profile \"keycloak\""},
        WrongFields{R"("profile": "github-app")", "audiences: must be left out: profile \"github-app\" has no aud"},
        WrongFields{R"("profile": "salesforce")", "subject: is missing"},
        WrongFields{R"("profile": "google")", "scopes: is missing"},
        WrongFields{R"("profile": "apple", "issuer": "TEAM")", "kids: is missing"},
        WrongFields{R"("profile": "apple", "kids": {})", "issuer: is missing"},
        WrongFields{R"("typ": "application/jwt")", "typ: must be a media type without \"application/\""},
        WrongFields{R"("typ": "a b")", "typ: must be"},
        WrongFields{R"("kid": "x5t#sha256")", "kid: must be one of: thumbprint, x5t, x5t#S256, assigned, none"},
        WrongFields{R"("kid": "thumbprnt")",
                    "kid: must be one of: thumbprint, x5t, x5t#S256, assigned, none; did you mean \"thumbprint\"?"},
        WrongFields{R"("kid": "assigned")", "kids: is missing"},
        WrongFields{R"("kid": "x5t", "binding": "jwks")", "kid: must be \"thumbprint\" or \"none\" with"},
        WrongFields{R"("kids": {})", "kids: is for kid \"assigned\" only"},
        WrongFields{R"("kid": "assigned", "kids": {"short": "x"})", "kids.short: must be named by a key's kid"},
        WrongFields{R"("kid": "assigned", "kids": {"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": "a\"b"})",
                    "kids.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs: must be a text of 1 to 255"},
        WrongFields{R"("header": ["x5t#256"])",
                    "header[0]: must be one of: x5t, x5t#S256, x5c, jwk, jku; did you mean \"x5t#S256\"?"},
        WrongFields{R"("header": ["x5t", "x5t"])", "header[1]: is repeated"},
        WrongFields{R"("header": ["jku"])", "jku: is missing: header names it"},
        WrongFields{R"("header": ["jku"], "jku": "http://a.example")", "jku: must be an https URL"},
        WrongFields{R"("jku": "https://a.example")", "jku: is for a header with \"jku\" only"},
        WrongFields{R"("issuer": "{clientid}")",
                    "issuer: has a word in braces that is none of the template's ({clientid}); the words are: "
                    "client_id, kid, x5t#S256, fingerprint:SHA256; did you mean \"client_id\"?"},
        WrongFields{R"("kid": "none", "issuer": "{kid}")", "issuer: uses {kid}, and kid is \"none\""},
        WrongFields{R"("issuer": "{kid")", "issuer: has a brace without the other"},
        WrongFields{R"("issuer": "")", "issuer: must be 1 to 255 visible ASCII characters"},
        WrongFields{R"("subject": "a b")", "subject: must be 1 to 255 visible ASCII characters"},
        WrongFields{R"("subjects": ["x"])", "subjects: is for the grants jwt-bearer and bearer-token only"},
        WrongFields{R"("scopes": ["x"])", "scopes: is for the grants jwt-bearer and bearer-token only"},
        WrongFields{R"("grant": "jwt-bearer", "subjects": ["*"])", "subjects[0]: must be a subject, or a pattern"},
        WrongFields{R"("grant": "jwt-bearer", "subjects": ["a*b*"])", "subjects[0]: must be a subject, or a pattern"},
        WrongFields{R"("grant": "jwt-bearer", "subjects": ["a\nb"])", "subjects[0]: must be 1 to 255 visible"},
        WrongFields{R"("grant": "jwt-bearer", "scopes": ["a b"])", "scopes[0]: must be visible ASCII"},
        WrongFields{
            R"("grant": "jwt_bearer")",
            "grant: must be one of: client-authentication, jwt-bearer, bearer-token; did you mean \"jwt-bearer\"?"},
        WrongFields{R"("jti": "uid")", "jti: must be one of: uuid, hex, none; did you mean \"uuid\"?"},
        WrongFields{R"("jti": "hex", "jti_length": 31)", "jti_length: must be from 32 to 64"},
        WrongFields{R"("jti_length": 32)", "jti_length: is for jti \"hex\" only"},
        WrongFields{R"("nbf": "yes")", "nbf: must be true or false"},
        WrongFields{R"("extra_claims": ["x5t"])", "extra_claims: 'x5t' is a member of the header, not a claim"},
        WrongFields{R"("extra_claims": ["kid"])", "extra_claims: 'kid' is a member of the header, not a claim"},
        WrongFields{R"("extra_claims": ["nbf"])",
                    "extra_claims: 'nbf' is reserved: it is in assertions if the field nbf is true"},
        WrongFields{R"("extra_claims": ["sub"])", "extra_claims: 'sub' is reserved: the client's profile decides it"},
        WrongFields{R"("extra_claims": ["exp"])", "extra_claims: 'exp' is reserved and set by the server"},
        WrongFields{R"("extra_claims": ["cnf"])", "extra_claims: 'cnf' is reserved: it binds a token to a key"},
        WrongFields{R"("extra_claims": ["client_id"])", "extra_claims: 'client_id' is reserved: some identity servers"},
        WrongFields{R"("grant": "jwt-bearer", "scopes": ["a"], "extra_claims": ["Scope"])",
                    "extra_claims: 'Scope' is set by the server; the field scopes lists"}));

struct RefusedByTheParty {
  const char* client;
  const char* warning;
};

class ProfileWarnings : public testing::TestWithParam<RefusedByTheParty> {};

TEST_P(ProfileWarnings, SayWhatThePartyWillRefuse) {
  const auto config = Parse(R"("clock_skew": "0s")", GetParam().client);
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_NE(std::ranges::find(config->warnings, GetParam().warning), config->warnings.end())
      << (config->warnings.empty() ? "no warning" : config->warnings.front());
}

TEST(ProfileFields, AKeycloakClientAsItsPageSaysGetsNoWarning) {
  for (const auto* way : {R"("kid": "none")", R"("binding": "jwks")"}) {
    const auto config =
        Parse(way, R"("profile": "keycloak", "client_id": "a", "audiences": ["https://a.example/realms/shop"])");
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_TRUE(config->warnings.empty()) << config->warnings.front();
  }
}

INSTANTIATE_TEST_SUITE_P(
    ProfileFields, ProfileWarnings,
    testing::Values(
        RefusedByTheParty{R"("profile": "nhs-england", "client_id": "a", "audiences": ["https://a.example/token"],
                             "algorithm": "RS256")",
                          "clients[0].algorithm: NHS England API platform refuses RS256; it takes: RS512"},
        RefusedByTheParty{R"("profile": "singpass", "client_id": "a", "audiences": ["https://a.example"],
                             "max_lifetime": "5m")",
                          "clients[0].max_lifetime: Singpass refuses assertions of more than 120s"},
        RefusedByTheParty{R"("profile": "rfc7523bis", "client_id": "a", "audiences": ["https://a.example/token"])",
                          "clients[0].audiences: The successor of RFC 7523, strict (OpenIddict 7, Duende strict, "
                          "Authelia) will refuse \"https://a.example/token\"; it asks for the server's issuer, an "
                          "https URL that is no endpoint"},
        RefusedByTheParty{R"("profile": "singpass", "client_id": "a", "audiences": ["https://a.example"],
                             "default_lifetime": "5m")",
                          "clients[0].default_lifetime: Singpass refuses assertions of more than 120s"},
        RefusedByTheParty{
            R"("profile": "keycloak", "client_id": "a", "binding": "jwks",
                             "audiences": ["https://a.example/realms/shop/protocol/openid-connect/token"])",
            "clients[0].audiences: Keycloak 26 will refuse "
            "\"https://a.example/realms/shop/protocol/openid-connect/token\"; it asks for the server's issuer, an "
            "https "
            "URL that is no endpoint"},
        RefusedByTheParty{R"("profile": "keycloak", "client_id": "a", "audiences": ["https://a.example/realms/shop"])",
                          "clients[0].kid: Keycloak 26 finds an uploaded certificate by no kid: set \"kid\": \"none\", "
                          "or \"binding\": \"jwks\" if it reads the JWK Set"},
        RefusedByTheParty{R"("profile": "auth0", "client_id": "a", "audiences": ["https://a.auth0.com"])",
                          "clients[0].audiences: Auth0 will refuse \"https://a.auth0.com\"; it asks for the tenant's "
                          "https URL with a slash at the end"},
        RefusedByTheParty{R"("profile": "entra-id", "client_id": "orders",
                             "audiences": ["https://login.microsoftonline.com/t/oauth2/v2.0/token"])",
                          "clients[0].client_id: Microsoft Entra ID asks for a GUID"},
        RefusedByTheParty{
            R"("profile": "entra-id", "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e",
                             "audiences": ["https://login.microsoftonline.com/common/oauth2/v2.0/token"])",
            "clients[0].audiences: Microsoft Entra ID will refuse "
            "\"https://login.microsoftonline.com/common/oauth2/v2.0/token\"; it asks for "
            "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token, with the id or domain of one tenant"},
        RefusedByTheParty{
            R"("profile": "entra-id", "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e",
                             "audiences": ["https://login.microsoftonline.com/t/oauth2/v2.0/token"], "header": ["x5t#S256"])",
            "clients[0].header: Microsoft Entra ID finds the certificate of an assertion signed with RS256 by x5t"},
        RefusedByTheParty{R"("profile": "entra-id", "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e",
                             "audiences": ["https://login.microsoftonline.com/t/oauth2/v2.0/token"], "header": ["x5c"])",
                          "clients[0].header: Microsoft Entra ID finds the certificate by x5t or x5t#S256 alone"},
        RefusedByTheParty{R"("profile": "entra-id", "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e",
                             "audiences": ["https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"])",
                          "clients[0].audiences: Microsoft Entra ID will refuse "
                          "\"https://login.microsoftonline.com/TENANT/oauth2/v2.0/token\"; it asks for "
                          "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token, with the id or domain of one "
                          "tenant"},
        RefusedByTheParty{
            R"("profile": "apple", "client_id": "com.example.app", "issuer": "A1B2C3D4E5", "algorithm": "ES256",
                             "audiences": ["https://appleid.apple.com"],
                             "kids": {"h3Mkk8qC3hMeSBjHfAmBQBjXqGdi6Azqri1diWzpfYE": "ABC123"})",
            "clients[0].kids: Sign in with Apple gives kids of 10 characters, and \"ABC123\" has 6"},
        RefusedByTheParty{R"("profile": "snowflake", "client_id": "myaccount.orders")",
                          "clients[0].client_id: Snowflake asks for ACCOUNT.USER in upper case"},
        RefusedByTheParty{
            R"("profile": "github-app", "client_id": "orders")",
            "clients[0].client_id: GitHub Apps asks for the app's client id (Iv...) or app id (a number)"}));

}  // namespace
}  // namespace assertion
