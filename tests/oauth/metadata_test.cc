#include "oauth/metadata.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "jws/compact.h"

namespace assertion::oauth {
namespace {

using nlohmann::json;

constexpr const char* kIssuer = "https://is.example.com/t/acme";
constexpr const char* kEndpoint = "https://is.example.com/t/acme/token";
constexpr const char* kPushEndpoint = "https://is.example.com/t/acme/par";
constexpr const char* kJwtBearerType = "urn:ietf:params:oauth:grant-type:jwt-bearer";

json Published() {
  return {{"issuer", kIssuer},
          {"token_endpoint", kEndpoint},
          {"pushed_authorization_request_endpoint", kPushEndpoint},
          {"authorization_endpoint", "https://is.example.com/t/acme/authorize"},
          {"grant_types_supported", {"client_credentials", kJwtBearerType}},
          {"token_endpoint_auth_methods_supported", {"client_secret_basic", "private_key_jwt"}},
          {"token_endpoint_auth_signing_alg_values_supported", {"PS256", "RS256"}}};
}

Result<ServerMetadata> Parsed(const json& published) {
  return ParseMetadata("--issuer", kIssuer, {.status = 200, .body = published.dump()});
}

PlannedRequest Planned() {
  return {.client_id = "orders", .grant_type = "client_credentials", .authenticates = true, .endpoint = kEndpoint};
}

std::string Assertion(const json& aud, const std::string& algorithm = "RS256", const std::string& typ = "JWT") {
  const Bytes signature = {1};
  return jws::Compact(jws::SigningInput(jws::EncodedHeader({{"alg", algorithm}, {"typ", typ}}),
                                        aud.is_null() ? "{}" : json({{"aud", aud}}).dump()),
                      signature);
}

// The message of the difference; empty: none.
std::string Difference(const json& published, const PlannedRequest& planned, const std::string& assertion) {
  const auto metadata = Parsed(published);
  EXPECT_TRUE(metadata) << metadata.error().message;
  const auto fits = Compare(*metadata, planned, assertion);
  EXPECT_TRUE(fits || fits.error().code == Code::kFailedPrecondition);
  return fits ? "" : fits.error().message;
}

TEST(Metadata, IsAskedForAtBothPlaces) {
  EXPECT_EQ(MetadataPaths("/"),
            (std::vector<std::string>{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"}));
  for (const auto* path : {"/t/acme", "/t/acme/"}) {
    EXPECT_EQ(MetadataPaths(path), (std::vector<std::string>{"/.well-known/oauth-authorization-server/t/acme",
                                                             "/t/acme/.well-known/openid-configuration"}));
  }
}

TEST(Metadata, MustBeOfThatIssuer) {
  EXPECT_TRUE(Parsed(Published()));
  for (const json& issuer : {json("https://is.example.com/t/acme/"), json("https://is.example.com/t/ACME"), json(""),
                             json(7), json::array({kIssuer}), json()}) {
    auto published = Published();
    published["issuer"] = issuer;
    const auto metadata = Parsed(published);
    ASSERT_FALSE(metadata) << issuer;
    EXPECT_EQ(metadata.error().code, Code::kFailedPrecondition);
  }
}

TEST(Metadata, IsAJsonObject) {
  for (const auto* body : {"", "<html>", "[]", "7", "{", "{\"issuer\":\"\xFF\"}"}) {
    const auto metadata = ParseMetadata("--issuer", kIssuer, {.status = 200, .body = body});
    ASSERT_FALSE(metadata) << body;
    EXPECT_EQ(metadata.error().code, Code::kNotFound);
  }
  EXPECT_FALSE(ParseMetadata("--issuer", kIssuer, {.status = 404, .body = Published().dump()}));
  EXPECT_FALSE(ParseMetadata("--issuer", kIssuer, {.status = 302, .body = Published().dump()}));
}

TEST(Metadata, EndpointsAreHttpsAsTheIssuer) {
  const auto metadata = Parsed(Published());
  ASSERT_TRUE(metadata);
  const auto endpoint = EndpointOf(*metadata, "token_endpoint", metadata->token_endpoint);
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(endpoint->origin, "https://is.example.com");
  for (const auto* wrong : {"", "http://127.0.0.1/token", "http://is.example.com/token", "file:///token",
                            "https://user@is.example.com/token", "https://is.example.com/to ken"}) {
    const auto refused = EndpointOf(*metadata, "token_endpoint", wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
    EXPECT_TRUE(refused.error().message.contains("token_endpoint")) << refused.error().message;
  }
}

TEST(Metadata, AnAssertionThatFitsHasNoDifference) {
  for (const json& aud : {json(kIssuer), json(kEndpoint), json::array({kIssuer}), json::array({kEndpoint})}) {
    EXPECT_EQ(Difference(Published(), Planned(), Assertion(aud)), "") << aud;
  }
  EXPECT_EQ(Difference(Published(), Planned(), Assertion(kIssuer, "PS256")), "");
}

TEST(Metadata, ADifferenceNamesBothSidesAndTheSetting) {
  auto published = Published();
  published["token_endpoint_auth_methods_supported"] = {"client_secret_basic", "tls_client_auth"};
  auto said = Difference(published, Planned(), Assertion(kIssuer));
  EXPECT_TRUE(
      said.contains("is client_secret_basic, tls_client_auth; client \"orders\" authenticates by "
                    "private_key_jwt: turn it on at the server"))
      << said;
  published.erase("token_endpoint_auth_methods_supported");
  said = Difference(published, Planned(), Assertion(kIssuer));
  EXPECT_TRUE(said.contains("missing, which means client_secret_basic")) << said;

  said = Difference(Published(), Planned(), Assertion(kIssuer, "ES256"));
  EXPECT_TRUE(said.contains("is PS256, RS256; client \"orders\" signs with ES256: set clients[].algorithm")) << said;

  auto planned = Planned();
  planned.grant_type = "authorization_code";
  said = Difference(Published(), planned, Assertion(kIssuer));
  EXPECT_TRUE(said.contains("without authorization_code: choose another --grant")) << said;

  said = Difference(Published(), Planned(), Assertion("https://other.example.com"));
  EXPECT_TRUE(
      said.contains("takes as audience https://is.example.com/t/acme, https://is.example.com/t/acme/token; the "
                    "assertion of client \"orders\" has \"https://other.example.com\": give --audience "
                    "https://is.example.com/t/acme"))
      << said;
}

TEST(Metadata, AllAudiencesMustBeTheServers) {
  for (const json& aud : {json(), json(""), json(7), json::array(), json::array({kIssuer, "https://other.example.com"}),
                          json("https://is.example.com/t/acme/"), json(kPushEndpoint)}) {
    EXPECT_NE(Difference(Published(), Planned(), Assertion(aud)), "") << aud;
  }
  EXPECT_NE(Difference(Published(), Planned(), Assertion(kEndpoint, "RS256", "client-authentication+jwt")), "");
  EXPECT_EQ(Difference(Published(), Planned(), Assertion(kIssuer, "RS256", "client-authentication+jwt")), "");
}

TEST(Metadata, NestingEndsNoProcess) {
  constexpr std::size_t kLevels = 400'000;
  auto text = Published().dump();
  text.pop_back();
  text += R"(,"authorization_response_iss_parameter_supported":)" + std::string(kLevels, '[') +
          std::string(kLevels, ']') + '}';
  const auto metadata = ParseMetadata("--issuer", kIssuer, {.status = 200, .body = text});
  ASSERT_FALSE(metadata);
  EXPECT_EQ(metadata.error().code, Code::kNotFound);
}

// A server may leave out the lists of algorithms and grants; there is nothing to compare then.
TEST(Metadata, WhatTheServerDoesNotSayIsNotCompared) {
  auto published = Published();
  published.erase("grant_types_supported");
  published.erase("token_endpoint_auth_signing_alg_values_supported");
  EXPECT_EQ(Difference(published, Planned(), Assertion(kIssuer, "ES256")), "");
}

TEST(Metadata, AGrantNeedsNoAuthenticationMethod) {
  auto planned = Planned();
  planned.grant_type = kJwtBearerType;
  planned.authenticates = false;
  auto published = Published();
  published.erase("token_endpoint_auth_methods_supported");
  EXPECT_EQ(Difference(published, planned, Assertion(kEndpoint, "ES256")), "");
  published["grant_types_supported"] = {"client_credentials"};
  EXPECT_NE(Difference(published, planned, Assertion(kEndpoint)), "");
}

// Otherwise a server could name the token endpoint of another and get an assertion that the other takes.
TEST(Metadata, APushedRequestTakesTheTokenEndpointOfTheSameServerAlone) {
  auto planned = Planned();
  planned.grant_type.clear();
  planned.endpoint = kPushEndpoint;
  for (const auto* aud : {kIssuer, kEndpoint, kPushEndpoint}) {
    EXPECT_EQ(Difference(Published(), planned, Assertion(aud)), "") << aud;
  }
  auto published = Published();
  published["token_endpoint"] = "https://victim.example.com/token";
  EXPECT_NE(Difference(published, planned, Assertion("https://victim.example.com/token")), "");
  EXPECT_EQ(Difference(published, planned, Assertion(kPushEndpoint)), "");
}

}  // namespace
}  // namespace assertion::oauth
