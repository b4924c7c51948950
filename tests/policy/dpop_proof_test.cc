// DPoP proofs: header and claims, octet for octet, and what is refused (RFC 9449 section 4.2).

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "policy/policy.h"
#include "policy/profiled_assertion.h"
#include "policy/text_shapes.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kHash = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";  // of RFC 9449 section 7.1

// Every test starts from a request that is approved, and changes one thing.
class DpopProofTest : public testing::Test {
 protected:
  DpopProofTest() {
    client_.client_id = "orders-dpop";
    client_.purposes = {Purpose::kDpop};
    client_.algorithm = FindAlgorithm("ES256");
  }

  Result<Unsigned> Make() { return UnsignedDpopProof(client_, request_); }

  void ExpectRefused(const std::string& message) {
    const auto made = Make();
    ASSERT_FALSE(made) << made->claims;
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    EXPECT_EQ(made.error().message, message);
  }

  void ExpectUrl(std::string_view htu, bool accepted) {
    request_.htu = htu;
    const auto made = Make();
    EXPECT_EQ(made.has_value(), accepted) << htu;
    if (made) {
      EXPECT_EQ(nlohmann::json::parse(made->claims)["htu"], htu);
    } else {
      EXPECT_EQ(made.error().code, Code::kInvalidArgument);
      EXPECT_TRUE(made.error().message.starts_with("htu: ")) << made.error().message;
    }
  }

  Client client_;
  DpopProofRequest request_{
      .client_id = "orders-dpop", .htm = "POST", .htu = "https://server.example.com/token", .ath = {}, .nonce = {}};
};

TEST_F(DpopProofTest, HeaderAndClaims) {
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->header,
            R"({"alg":"ES256","typ":"dpop+jwt","jwk":{"crv":"P-256","kty":"EC",)"
            R"("x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}})");
  EXPECT_EQ(made->claims,
            R"({"jti":"ffffffff-ffff-4fff-bfff-ffffffffffff","htm":"POST","htu":"https://server.example.com/token",)"
            R"("iat":1700000000})");
}

TEST_F(DpopProofTest, TheJwkOfAnRsaKeyIsPublicToo) {
  client_.algorithm = FindAlgorithm("PS256");
  const auto header = nlohmann::json::parse(Make().value().header);
  EXPECT_EQ(header.size(), 3U);
  EXPECT_EQ(header["jwk"].size(), 3U);
  for (const auto* const member : {"kty", "n", "e"}) {
    EXPECT_TRUE(header["jwk"].contains(member)) << member;
  }
}

TEST_F(DpopProofTest, TokenHashAndNonce) {
  request_.ath = kHash;
  request_.nonce = "eyJ7S_zG.eyJH0-Z.HX4w-7v!~";
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(
      made->claims,
      R"({"jti":"ffffffff-ffff-4fff-bfff-ffffffffffff","htm":"POST","htu":"https://server.example.com/token",)"
      R"("iat":1700000000,"ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo","nonce":"eyJ7S_zG.eyJH0-Z.HX4w-7v!~"})");
}

TEST_F(DpopProofTest, AProofTakesNothingOfTheClientsProfileButTheBackdate) {
  client_.purposes = {Purpose::kClientAssertion, Purpose::kDpop};
  client_.audiences = {"https://is.example.com/token"};
  client_.profile.backdate = seconds(30);
  client_.profile.typ = "client-authentication+jwt";
  client_.profile.kid = KidForm::kX5t;
  client_.profile.header = {HeaderMember::kX5c};
  client_.profile.jti = JtiForm::kNone;
  client_.profile.nbf = true;
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->header.starts_with(R"({"alg":"ES256","typ":"dpop+jwt","jwk":{)")) << made->header;
  EXPECT_EQ(made->claims,
            R"({"jti":"ffffffff-ffff-4fff-bfff-ffffffffffff","htm":"POST","htu":"https://server.example.com/token",)"
            R"("iat":1699999970})");
}

TEST_F(DpopProofTest, Methods) {
  const std::string longest(32, 'A');
  for (const std::string_view method :
       {std::string_view("GET"), std::string_view("M-SEARCH"), std::string_view(longest)}) {
    request_.htm = method;
    EXPECT_TRUE(Make()) << method;
  }
  const auto longer = longest + "A";
  for (const std::string_view method :
       {std::string_view(""), std::string_view("post"), std::string_view("P T"), std::string_view("GET\n"),
        std::string_view("G\"T"), std::string_view(longer)}) {
    request_.htm = method;
    ExpectRefused("htm: must be an HTTP method in capitals, for example POST");
  }
}

TEST_F(DpopProofTest, Urls) {
  for (const auto* const url :
       {"https://a", "https://a/", "https://api.example.com:8443/v1/a_b-c.d~e;f=g,h@i:j!$&'()*+%2F",
        "https://[2001:db8::1]/x", "http://localhost/token", "http://localhost:8080", "https://a:65535/",
        "http://127.0.0.1:9/token", "http://[::1]:9/token"}) {
    ExpectUrl(url, true);
  }
  for (const auto* const url : {"",
                                "https://",
                                "https:///token",
                                "https://:443/",
                                "HTTPS://a/",
                                "ftp://a/",
                                "//a/b",
                                "a/b",
                                "https:/a",
                                "https://a:b/",
                                "https://a:123456/",
                                "https://a:65536/",
                                "https://a:/",
                                "https://user@a/",
                                "https://user:pw@a/",
                                "https://[::1/",
                                "https://[x]/",
                                "https://a/\"",
                                "https://a/\\",
                                "https://a/<b>",
                                "https://a/b c",
                                "https://a/b\n",
                                "https://a/%2",
                                "https://a/%zz",
                                "https://a/\xC3\xA4",
                                "https://\xC3\xA4/",
                                "https://a/{b}",
                                "https://a/b|c",
                                "http://server.example.com/token",
                                "http://localhost.example.com/",
                                "http://127.0.0.1.example.com/",
                                "http://127.example/",
                                "http://localhost@evil.example/",
                                "http://LOCALHOST/"}) {
    ExpectUrl(url, false);
  }
}

TEST_F(DpopProofTest, UrlsWithQueryOrFragmentAreRefusedInWords) {
  for (const auto* const url : {"https://a/b?c=d", "https://a/b#c", "https://a?", "https://a/b#"}) {
    request_.htu = url;
    ExpectRefused("htu: must be the URL without query and fragment: cut it before ? and # (RFC 9449 section 4.2)");
  }
}

TEST_F(DpopProofTest, UrlsHaveALimit) {
  const auto longest = "https://a/" + std::string(Policy::kMaxHtuOctets - 10, 'b');
  ExpectUrl(longest, true);
  ExpectUrl(longest + "b", false);
}

TEST_F(DpopProofTest, TokenHashesAreExactly43CharactersOfBase64Url) {
  const std::string hash(kHash);
  for (const auto& wrong : {hash + "=", hash + "A", hash.substr(1), "+" + hash.substr(1), " " + hash.substr(1),
                            hash.substr(0, 42) + "p", std::string("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")}) {
    request_.ath = wrong;
    ExpectRefused("ath: must be the base64url of the access token's SHA-256, 43 characters without padding");
  }
}

TEST_F(DpopProofTest, NoncesAreVisible) {
  const std::string longest(kMaxDpopNonceOctets, '~');
  request_.nonce = longest;
  EXPECT_TRUE(Make());
  for (const auto& wrong :
       {longest + "~", std::string("a b"), std::string("a\"b"), std::string("a\\b"), std::string("a\nb"),
        std::string("a\0b", 3), std::string("\x7F"), std::string("\xC3\xA4")}) {
    request_.nonce = wrong;
    ExpectRefused("nonce: must be at most 512 visible ASCII characters without \" and \\");
  }
}

TEST_F(DpopProofTest, AKeySignsForItsPurposesOnly) {
  client_.audiences = {"https://is.example.com"};
  const AssertionRequest assertion{.client_id = "orders-dpop", .audience = {}, .lifetime = {}};
  const RequestObjectRequest object{.client_id = "orders-dpop", .audience = {}, .lifetime = {}};
  const std::vector<std::pair<Purpose, std::string>> names = {
      {Purpose::kClientAssertion, R"(assertions: its configured purposes do not include "client_assertion")"},
      {Purpose::kDpop, R"(DPoP proofs: its configured purposes do not include "dpop")"},
      {Purpose::kRequestObject, R"(request objects: its configured purposes do not include "request_object")"}};
  for (const auto& [only, name] : names) {
    client_.purposes = {only};
    const std::vector<Result<Unsigned>> made = {ProfiledAssertion(client_, assertion), Make(),
                                                UnsignedRequestObject(client_, object)};
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i].first == only) {
        EXPECT_TRUE(made[i]) << name;
        continue;
      }
      ASSERT_FALSE(made[i]) << made[i]->claims;
      EXPECT_EQ(made[i].error().code, Code::kPermissionDenied);
      EXPECT_EQ(made[i].error().message, R"(client_id: client "orders-dpop" is not for )" + names[i].second);
    }
  }
}

TEST_F(DpopProofTest, SeveralPurposesAreTheOperatorsDecision) {
  client_.audiences = {"https://is.example.com"};
  client_.purposes = {Purpose::kRequestObject, Purpose::kClientAssertion, Purpose::kDpop};
  EXPECT_TRUE(Make());
  EXPECT_TRUE(ProfiledAssertion(client_, {.client_id = "orders-dpop", .audience = {}, .lifetime = {}}));
  EXPECT_TRUE(UnsignedRequestObject(client_, {.client_id = "orders-dpop", .audience = {}, .lifetime = {}}));
}

// An operator tries a key with an assertion: a key that is for something else must not sign one.
TEST_F(DpopProofTest, ATrialOfAKeyIsAnAssertion) {
  const Policy policy({client_}, {}, [] { return Time(seconds(1)); }, [](auto) { return true; });
  EXPECT_EQ(policy.ApproveTrial({.client_id = "orders-dpop", .audience = {}, .lifetime = {}}).error().code,
            Code::kPermissionDenied);
}

TEST_F(DpopProofTest, StrangersLearnNothing) {
  client_.callers = {"uid:1000"};
  const Policy policy({client_}, {}, [] { return Time(seconds(1)); }, [](auto) { return true; });
  for (const auto* const client_id : {"orders-dpop", "nobody"}) {
    request_.client_id = client_id;
    const auto refused = policy.Approve(Caller::Authenticated({"uid:1001"}), request_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
    EXPECT_EQ(refused.error().message,
              "you are known here as \"uid:1001\", who may not ask for DPoP proofs of this client; ask those who run "
              "assertiond to list you");
  }
}

TEST_F(DpopProofTest, ProofsCountForTheCallersRate) {
  client_.callers = {"uid:1000"};
  const Policy policy(
      {client_}, {}, [] { return Time(seconds(1)); }, [](auto) { return true; }, {}, Rate{.per_second = 1, .burst = 1});
  EXPECT_TRUE(policy.Approve(Caller::Authenticated({"uid:1000"}), request_));
  EXPECT_EQ(policy.Approve(Caller::Authenticated({"uid:1000"}), request_).error().code, Code::kResourceExhausted);
}

TEST_F(DpopProofTest, NoRandomNumbersNoProof) {
  client_.callers = {"uid:1000"};
  const Policy policy({client_}, {}, [] { return Time(seconds(1)); }, [](auto) { return false; });
  EXPECT_EQ(policy.Approve(Caller::Authenticated({"uid:1000"}), request_).error().code, Code::kInternal);
}

}  // namespace
}  // namespace assertion
