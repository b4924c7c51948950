// The rules of identity servers and APIs for assertions, each from its own documents. See deploy/docs/profiles.md.

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <vector>

#include "assertion/preset.h"
#include "assertion/profile.h"
#include "policy/text_shapes.h"

namespace assertion {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kClientAuthenticationType = "client-authentication+jwt";

constexpr TextShape kAnything = {.fits = IsAnything, .wanted = "anything"};
constexpr TextShape kIssuer = {.fits = IsIssuer, .wanted = "the server's issuer, an https URL that is no endpoint"};
constexpr TextShape kTokenEndpoint = {.fits = IsTokenEndpoint, .wanted = "the token endpoint, an https URL"};
constexpr TextShape kHttps = {.fits = IsHttps, .wanted = "an https URL"};
constexpr TextShape kUuid = {.fits = IsUuid, .wanted = "a GUID"};

// OAuth 2.0 servers that are installed or rented.
Preset Wso2() {
  return {.profile = {},
          .title = "WSO2 Identity Server 7.0 to 7.4",
          .source = {.document = "WSO2 Identity Server documentation, private key JWT client authentication",
                     .section = "Private key JWT client authentication for OIDC",
                     .date = "read 2026-11",
                     .url = "https://is.docs.wso2.com/en/latest/references/app-settings/oidc-settings-for-app/"},
          .rules =
              "iss and sub the client id; aud the token endpoint or issuer; each jti once; exp in the future. "
              "Also the form for any server that has no preset: every field may differ.",
          .audience_form = AudienceForm::kEither,
          .audience = kAnything,
          .client_id = kAnything,
          .algorithms = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
          .max_lifetime = hours(24),
          .overrides = {"typ", "kid", "kids", "header", "jku", "issuer", "subject", "subjects", "scopes", "backdate",
                        "nbf", "jti", "jti_length", "grant"}};
}

Preset Keycloak() {
  return {.profile = {.name = "keycloak"},
          .title = "Keycloak 26",
          .source = {.document = "Keycloak Server Administration Guide",
                     .section = "Confidential client credentials, Signed JWT",
                     .date = "26.x, read 2026-11",
                     .url = "https://www.keycloak.org/docs/latest/server_admin/"},
          .rules =
              "iss and sub the client id; aud the realm's issuer, alone; kid of the registered JWK Set, or none; "
              "refused when older than the client's Max expiration, 60 s by default; each jti once.",
          .audience_form = AudienceForm::kString,
          .audience = kIssuer,
          .client_id = kAnything,
          .algorithms = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
          .default_lifetime = seconds(60),
          .max_lifetime = seconds(60),
          .overrides = {"typ", "kid", "kids", "backdate", "nbf"},
          .certificate_has_kid = false};
}

Preset Okta() {
  return {.profile = {.name = "okta"},
          .title = "Okta",
          .source = {.document = "Okta OAuth 2.0 API, Client authentication methods",
                     .section = "Private key, JWT with private key",
                     .date = "read 2026-11",
                     .url = "https://developer.okta.com/docs/api/openapi/okta-oauth/guides/client-auth/"},
          .rules =
              "iss and sub the client id; aud the URL of the endpoint that is called; exp at most one hour ahead; "
              "jti optional, and then each once; kid of the registered key.",
          .audience_form = AudienceForm::kString,
          .audience = kHttps,
          .client_id = kAnything,
          .algorithms = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"},
          .max_lifetime = hours(1),
          .overrides = {"kid", "kids", "backdate"}};
}

Preset Auth0() {
  return {.profile = {.name = "auth0", .kid = KidForm::kNone},
          .title = "Auth0",
          .source = {.document = "Auth0 documentation, Authenticate with private key JWT",
                     .section = "Build the assertion",
                     .date = "read 2026-11",
                     .url = "https://auth0.com/docs/get-started/authentication-and-authorization-flow/"
                            "authenticate-with-private-key-jwt"},
          .rules =
              "iss and sub the client id; aud the tenant's URL with its last slash; kid optional, the one that "
              "Auth0 generated; exp at most 5 minutes ahead; iss, sub and jti at most 64 characters; each jti once. A "
              "token request names the API by audience.",
          .audience_form = AudienceForm::kString,
          .audience = {.fits = [](std::string_view text) { return IsHttps(text) && text.ends_with('/'); },
                       .wanted = "the tenant's https URL with a slash at the end"},
          .client_id = kAnything,
          .algorithms = {"RS256", "RS384", "PS256"},
          .default_lifetime = seconds(60),
          .overrides = {"kid", "kids", "backdate"},
          .resource_parameter = "audience"};
}

Preset Ping() {
  return {.profile = {.name = "ping"},
          .title = "PingOne and PingFederate",
          .source = {.document = "PingOne Platform APIs, Create a private key JWT",
                     .section = "claims",
                     .date = "read 2026-11",
                     .url = "https://developer.pingidentity.com/pingone-api/auth/auth-config-options/"
                            "create-a-private-key-jwt.html"},
          .rules =
              "iss and sub the application's id; aud the token endpoint, the issuer or the endpoint that is "
              "called, in full; exp at most one hour ahead; nbf not in the future.",
          .audience_form = AudienceForm::kString,
          .audience = kHttps,
          .client_id = kAnything,
          .algorithms = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"},
          .max_lifetime = hours(1),
          .overrides = {"typ", "kid", "kids", "backdate", "nbf"}};
}

Preset OracleIdcs() {
  return {.profile = {.name = "oracle-idcs", .kid = KidForm::kAssigned},
          .title = "Oracle Identity Cloud Service and OCI identity domains",
          .source = {.document = "Oracle Cloud Infrastructure documentation, Client/User JWT Assertion",
                     .section = "Client/User Assertion Headers; JWT Body/Claims",
                     .date = "read 2026-11",
                     .url = "https://docs.oracle.com/en-us/iaas/Content/Identity/api-getstarted/ClientAssertion.htm"},
          .rules =
              "kid the alias of the uploaded certificate, or x5t; typ JWT; RS256; iss and sub the application's "
              "name; aud holds the identity domain's URL or https://identity.oraclecloud.com/.",
          .audience_form = AudienceForm::kEither,
          .audience = {.fits = [](std::string_view text) { return IsIssuer(text) && text.ends_with('/'); },
                       .wanted = "the identity domain's https URL with a slash at the end"},
          .client_id = kAnything,
          .algorithms = {"RS256"},
          .overrides = {"kid", "kids", "header", "subject", "subjects", "grant", "backdate"}};
}

Preset LemonLdap() {
  return {.profile = {.name = "lemonldap"},
          .title = "LemonLDAP::NG 2.21",
          .source = {.document = "LemonLDAP::NG, Lemonldap::NG::Portal::Lib::OpenIDConnect",
                     .section = "getEndPointAuthenticationCredentials; JWKS options of a relying party",
                     .date = "read 2026-11",
                     .url = "https://gitlab.ow2.org/lemonldap-ng/lemonldap-ng/-/blob/v2.21/lemonldap-ng-portal/lib/"
                            "Lemonldap/NG/Portal/Lib/OpenIDConnect.pm"},
          .rules =
              "iss and sub the client id, which the form names as well; aud and exp present, exp in the future. The "
              "JWK Set is loaded with the configuration only: reload LemonLDAP::NG after a new key is published and "
              "before it signs, or every assertion of that key is refused.",
          .audience_form = AudienceForm::kEither,
          .audience = kHttps,
          .client_id = kAnything,
          .algorithms = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"},
          .overrides = {"typ", "kid", "kids", "backdate", "nbf"}};
}

// Clouds and APIs.
Preset EntraId() {
  return {
      .profile = {.name = "entra-id", .kid = KidForm::kNone, .header = {HeaderMember::kX5t}, .nbf = true},
      .title = "Microsoft Entra ID",
      .source = {.document = "Microsoft identity platform application authentication certificate credentials",
                 .section = "Assertion format",
                 .date = "read 2026-11",
                 .url = "https://learn.microsoft.com/entra/identity-platform/certificate-credentials"},
      .rules =
          "the certificate by x5t (SHA-1; RS256) or x5t#S256 (SHA-256; PS256), never one in the other's "
          "place; x5c as well for applications trusted by subject name and issuer; typ JWT; iss and sub the "
          "application's GUID; aud the tenant's v2.0 token endpoint; nbf; exp 5 to 10 minutes after it.",
      .audience_form = AudienceForm::kString,
      .audience =
          {.fits = IsEntraTokenEndpoint,
           .wanted = "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token, with the id or domain of one tenant"},
      .client_id = kUuid,
      .algorithms = {"RS256", "PS256"},
      .max_lifetime = minutes(10),
      .overrides = {"header", "backdate"}};
}

Preset Google() {
  return {.profile = {.name = "google",
                      .kid = KidForm::kNone,
                      .subject = "",
                      .jti = JtiForm::kNone,
                      .grant = Grant::kJwtBearer},
          .title = "Google service accounts",
          .source = {.document = "Using OAuth 2.0 for Server to Server Applications",
                     .section = "HTTP/REST, Creating a JWT",
                     .date = "read 2026-11",
                     .url = "https://developers.google.com/identity/protocols/oauth2/service-account"},
          .rules =
              "RS256; kid optional, the id of the service account's key; iss its e-mail address; scope a claim; "
              "aud https://oauth2.googleapis.com/token; exp at most one hour after iat; sub only for domain-wide "
              "delegation.",
          .audience_form = AudienceForm::kString,
          .audience = {.fits = [](std::string_view text) { return text == "https://oauth2.googleapis.com/token"; },
                       .wanted = "https://oauth2.googleapis.com/token"},
          .client_id = {.fits = [](std::string_view text) { return text.ends_with(".gserviceaccount.com"); },
                        .wanted = "a service account's e-mail address"},
          .algorithms = {"RS256"},
          .max_lifetime = hours(1),
          .overrides = {"kid", "kids", "subject", "subjects", "backdate"},
          .required = {"scopes"}};
}

Preset Salesforce() {
  return {.profile = {.name = "salesforce", .kid = KidForm::kNone, .subject = "", .grant = Grant::kJwtBearer},
          .title = "Salesforce",
          .source = {.document = "Salesforce Help, OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration",
                     .section = "Create a JWT",
                     .date = "read 2026-11",
                     .url = "https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm"},
          .rules =
              "RS256 by the certificate that was uploaded; iss the consumer key; sub the user's name; aud "
              "https://login.salesforce.com, https://test.salesforce.com or the site's URL; exp within 3 minutes.",
          .audience_form = AudienceForm::kString,
          .audience = {.fits = IsSalesforceAudience,
                       .wanted = "https://login.salesforce.com, https://test.salesforce.com or a site's URL"},
          .client_id = kAnything,
          .algorithms = {"RS256"},
          .default_lifetime = minutes(3),
          .max_lifetime = minutes(3),
          .overrides = {"subjects", "jti", "backdate"},
          .required = {"subject"}};
}

Preset DocuSign() {
  return {.profile = {.name = "docusign",
                      .kid = KidForm::kNone,
                      .subject = "",
                      .scopes = {"signature", "impersonation"},
                      .jti = JtiForm::kNone,
                      .grant = Grant::kJwtBearer},
          .title = "DocuSign",
          .source = {.document = "DocuSign developer documentation, How to get an access token with JWT Grant",
                     .section = "Create a JWT",
                     .date = "read 2026-11",
                     .url = "https://developers.docusign.com/platform/auth/jwt-get-token.md"},
          .rules =
              "RS256; iss the integration key; sub the GUID of the impersonated user; aud account.docusign.com or "
              "account-d.docusign.com, without https; scope a claim with impersonation; exp at most one hour "
              "after iat.",
          .audience_form = AudienceForm::kString,
          .audience = {.fits =
                           [](std::string_view text) {
                             return text == "account.docusign.com" || text == "account-d.docusign.com";
                           },
                       .wanted = "account.docusign.com or account-d.docusign.com"},
          .client_id = kUuid,
          .algorithms = {"RS256"},
          .max_lifetime = hours(1),
          .overrides = {"subjects", "scopes", "backdate"},
          .required = {"subject"}};
}

Preset Snowflake() {
  return {.profile = {.name = "snowflake",
                      .kid = KidForm::kNone,
                      .issuer = "{client_id}.SHA256:{fingerprint:SHA256}",
                      .jti = JtiForm::kNone,
                      .grant = Grant::kBearerToken},
          .title = "Snowflake",
          .source = {.document = "Snowflake SQL API, Authenticating to the server",
                     .section = "Using key-pair authentication",
                     .date = "read 2026-11",
                     .url = "https://docs.snowflake.com/developer-guide/sql-api/authenticating"},
          .rules =
              "RS256; sub ACCOUNT.USER in upper case, the account without region and dots; iss the same, "
              "\".SHA256:\" and the fingerprint of the user's public key; no aud; exp at most one hour after iat.",
          .audience_form = AudienceForm::kNone,
          .audience = kAnything,
          .client_id = {.fits = IsSnowflakeUser, .wanted = "ACCOUNT.USER in upper case"},
          .algorithms = {"RS256"},
          .max_lifetime = hours(1),
          .overrides = {"backdate"}};
}

Preset GithubApp() {
  return {
      .profile = {.name = "github-app",
                  .kid = KidForm::kNone,
                  .subject = "",
                  .backdate = seconds(60),
                  .jti = JtiForm::kNone,
                  .grant = Grant::kBearerToken},
      .title = "GitHub Apps",
      .source = {.document = "GitHub Docs, Generating a JSON Web Token (JWT) for a GitHub App",
                 .section = "About JSON Web Tokens (JWTs)",
                 .date = "read 2026-11",
                 .url = "https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/"
                        "generating-a-json-web-token-jwt-for-a-github-app"},
      .rules =
          "RS256; iss the app's client id or app id; iat 60 s in the past; exp at most 10 minutes ahead; no "
          "aud, no sub.",
      .audience_form = AudienceForm::kNone,
      .audience = kAnything,
      .client_id = {.fits = [](std::string_view text) { return text.starts_with("Iv") || IsOf(text, "0123456789"); },
                    .wanted = "the app's client id (Iv...) or app id (a number)"},
      .algorithms = {"RS256"},
      .default_lifetime = minutes(10),
      .max_lifetime = minutes(10),
      .overrides = {"backdate"}};
}

Preset Apple() {
  return {.profile = {.name = "apple", .typ = "", .kid = KidForm::kAssigned, .issuer = "", .jti = JtiForm::kNone},
          .title = "Sign in with Apple",
          .source = {.document = "Apple developer documentation, Creating a client secret",
                     .section = "Create the token",
                     .date = "read 2026-11",
                     .url = "https://developer.apple.com/documentation/accountorganizationaldatasharing/"
                            "creating-a-client-secret"},
          .rules =
              "ES256; kid the 10 characters of Apple's key id; iss the team id; sub the client id; aud "
              "https://appleid.apple.com; exp at most six months after iat.",
          .audience_form = AudienceForm::kString,
          .audience = {.fits = [](std::string_view text) { return text == "https://appleid.apple.com"; },
                       .wanted = "https://appleid.apple.com"},
          .client_id = kAnything,
          .algorithms = {"ES256"},
          .max_lifetime = hours(24),
          .overrides = {"kids", "backdate"},
          .required = {"issuer"}};
}

// Standards and sectors.
Preset SmartBackend() {
  return {.profile = {.name = "smart-backend"},
          .title = "SMART Backend Services (Epic and other health record systems)",
          .source = {.document = "HL7 SMART App Launch 2.2.0, client-confidential-asymmetric",
                     .section = "Authenticating to the Token endpoint",
                     .date = "2.2.0, 2024",
                     .url = "https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html"},
          .rules =
              "RS384 or ES384; typ JWT; kid of the registered JWK Set; jku optional, exactly the registered URL; "
              "iss and sub the client id; aud the token URL; exp at most 5 minutes ahead; each jti once.",
          .audience_form = AudienceForm::kString,
          .audience = kTokenEndpoint,
          .client_id = kAnything,
          .algorithms = {"RS384", "ES384"},
          .overrides = {"kid", "kids", "header", "jku", "backdate"}};
}

Preset NhsEngland() {
  return {.profile = {.name = "nhs-england"},
          .title = "NHS England API platform",
          .source = {.document = "Application-restricted RESTful APIs - signed JWT authentication",
                     .section = "Step 5: generate and sign a JWT",
                     .date = "read 2026-11",
                     .url = "https://digital.nhs.uk/developer/guides-and-documentation/security-and-authorisation/"
                            "application-restricted-restful-apis-signed-jwt-authentication"},
          .rules =
              "RS512; typ JWT; kid of the registered public key; iss and sub the API key; aud the token endpoint; "
              "exp at most 5 minutes ahead; each jti once.",
          .audience_form = AudienceForm::kString,
          .audience = kTokenEndpoint,
          .client_id = kAnything,
          .algorithms = {"RS512"},
          .overrides = {"kid", "kids", "backdate"}};
}

Preset Fapi2() {
  return {.profile = {.name = "fapi2", .typ = std::string(kClientAuthenticationType)},
          .title = "FAPI 2.0 Security Profile, UK Open Banking",
          .source = {.document = "FAPI 2.0 Security Profile, final",
                     .section = "5.3.3.1 clients, 5.4.1 algorithms",
                     .date = "2025-02",
                     .url = "https://openid.net/specs/fapi-security-profile-2_0-final.html"},
          .rules =
              "PS256, ES256 or EdDSA with Ed25519; aud the server's issuer, as one string; iss and sub the client "
              "id. typ client-authentication+jwt is the next RFC 7523's; servers of before it ignore it.",
          .audience_form = AudienceForm::kString,
          .audience = kIssuer,
          .client_id = kAnything,
          .algorithms = {"PS256", "ES256", "EdDSA"},
          .default_lifetime = seconds(60),
          .overrides = {"typ", "kid", "kids", "backdate", "nbf"}};
}

Preset Rfc7523bis() {
  return {.profile = {.name = "rfc7523bis", .typ = std::string(kClientAuthenticationType)},
          .title = "The successor of RFC 7523, strict (OpenIddict 7, Duende strict, Authelia)",
          .source = {.document = "draft-ietf-oauth-rfc7523bis",
                     .section = "4 (typ and aud of client authentication)",
                     .date = "-11 of 2026-04-28, in the RFC Editor's queue, without an RFC number",
                     .url = "https://datatracker.ietf.org/doc/draft-ietf-oauth-rfc7523bis/"},
          .rules =
              "typ client-authentication+jwt; aud the server's issuer and nothing else, as a string; iss and sub "
              "the client id.",
          .audience_form = AudienceForm::kString,
          .audience = kIssuer,
          .client_id = kAnything,
          .algorithms = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
          .overrides = {"kid", "kids", "header", "backdate", "nbf"}};
}

Preset Singpass() {
  return {.profile = {.name = "singpass"},
          .title = "Singpass",
          .source = {.document = "Singpass developer documentation, Authorization Code Grant",
                     .section = "Client Authentication - Client Assertion JWT",
                     .date = "read 2026-11; for integrations from before FAPI 2.0, until 2026-12-31",
                     .url = "https://docs.developer.singpass.gov.sg/docs/technical-specifications/"
                            "singpass-authentication-api/2.-token-endpoint/authorization-code-grant"},
          .rules =
              "ES256, ES384 or ES512; typ JWT; kid of the registered JWK Set; iss and sub the client id; aud the "
              "issuer; exp at most 2 minutes after iat; a jti, as OpenID Connect asks.",
          .audience_form = AudienceForm::kString,
          .audience = kIssuer,
          .client_id = kAnything,
          .algorithms = {"ES256", "ES384", "ES512"},
          .default_lifetime = minutes(2),
          .max_lifetime = minutes(2),
          .overrides = {"kid", "kids", "backdate"}};
}

Preset LoginGov() {
  return {.profile = {.name = "login.gov", .kid = KidForm::kNone},
          .title = "Login.gov",
          .source = {.document = "Login.gov developer guide, OpenID Connect, Token",
                     .section = "client_assertion",
                     .date = "read 2026-11",
                     .url = "https://developers.login.gov/oidc/token/"},
          .rules =
              "RS256 by the public key of the application's configuration; iss and sub the client id; aud the token "
              "endpoint; jti unguessable; exp short.",
          .audience_form = AudienceForm::kString,
          .audience = kTokenEndpoint,
          .client_id = kAnything,
          .algorithms = {"RS256"},
          .overrides = {"jti", "jti_length", "backdate"}};
}

Preset GematikZeta() {
  return {.profile = {.name = "gematik-zeta", .kid = KidForm::kNone, .header = {HeaderMember::kJwk}},
          .title = "gematik ZETA",
          .source = {.document = "gematik/zeta, src/schemas/client-assertion-jwt.yaml",
                     .section = "header, payload",
                     .date = "schema 1.0.0 of 2026-07-28",
                     .url = "https://github.com/gematik/zeta/blob/main/src/schemas/client-assertion-jwt.yaml"},
          .rules =
              "ES256; typ JWT; jwk the public key, no kid; iss and sub the client id; aud a list with the token "
              "endpoint; the claims of the client's attestation as extra_claims.",
          .audience_form = AudienceForm::kList,
          .audience = kTokenEndpoint,
          .client_id = kAnything,
          .algorithms = {"ES256"},
          .overrides = {"backdate"}};
}

}  // namespace

std::span<const Preset> Presets() {
  static const std::vector<Preset> presets = {
      Wso2(),       Keycloak(),   EntraId(),   Okta(),      Auth0(),       Ping(),         Google(),
      Salesforce(), DocuSign(),   Snowflake(), GithubApp(), Apple(),       SmartBackend(), NhsEngland(),
      Fapi2(),      Rfc7523bis(), Singpass(),  LoginGov(),  GematikZeta(), OracleIdcs(),   LemonLdap()};
  return presets;
}

const Preset* FindPreset(std::string_view name) {
  const auto presets = Presets();
  const auto found =
      std::ranges::find(presets, name, [](const Preset& preset) -> std::string_view { return preset.profile.name; });
  return found == presets.end() ? nullptr : &*found;
}

}  // namespace assertion
