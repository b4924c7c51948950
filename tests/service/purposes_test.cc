// CreateDpopProof and CreateRequestObject over a Unix socket, with SoftHSM2.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "server_fixture.h"
#include "x509/verifier.h"

namespace assertion::service {
namespace {

// Every test starts from requests that are answered, and changes one thing.
class PurposesTest : public ServerFixture {
 protected:
  PurposesTest() {
    Allow({Purpose::kDpop, Purpose::kRequestObject});
    GenerateOrdersKey();
    proof_request_.set_client_id("orders");
    proof_request_.set_htm("GET");
    proof_request_.set_htu("https://api.example.com/orders");
    object_request_.set_client_id("orders");
  }

  // Of the client "orders".
  void Allow(std::vector<Purpose> purposes) {
    auto clients = Clients();
    clients.front().purposes = std::move(purposes);
    SetPolicy(std::move(clients));
  }

  grpc::Status CreateProof() {
    grpc::ClientContext context;
    return assertions_.CreateDpopProof(&context, proof_request_, &proof_);
  }

  grpc::Status CreateObject() {
    grpc::ClientContext context;
    return assertions_.CreateRequestObject(&context, object_request_, &object_);
  }

  v1::CreateDpopProofRequest proof_request_;
  v1::CreateDpopProofResponse proof_;
  v1::CreateRequestObjectRequest object_request_;
  v1::CreateRequestObjectResponse object_;
};

TEST_F(PurposesTest, AProofVerifiesWithTheKeyInItsHeader) {
  proof_request_.set_nonce("n-0S6_WzA2Mj");
  const auto status = CreateProof();
  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto parsed = jws::ParseCompact(proof_.proof());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->header["typ"], "dpop+jwt");
  EXPECT_FALSE(parsed->header.contains("kid"));
  const auto key = jws::ParseJwk(parsed->header["jwk"]);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(jws::JwkThumbprint(*key), proof_.kid());
  EXPECT_TRUE(x509::Verifier::New(*key, kAlgorithms[0])->Verify(parsed->signing_input, parsed->signature));
  EXPECT_EQ(parsed->claims["jti"], proof_.jti());
  EXPECT_EQ(parsed->claims["iat"], proof_.issued_at().seconds());
  EXPECT_EQ(parsed->claims["nonce"], "n-0S6_WzA2Mj");
  EXPECT_EQ(parsed->claims.size(), 5U);
  const auto before = proof_.jti();
  ASSERT_TRUE(CreateProof().ok());
  EXPECT_NE(proof_.jti(), before);
}

TEST_F(PurposesTest, ARequestObjectHasTheParameters) {
  (*object_request_.mutable_claims()->mutable_fields())["max_age"].set_number_value(60);
  object_request_.mutable_lifetime()->set_seconds(90);
  const auto status = CreateObject();
  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto parsed = jws::ParseCompact(object_.request_object());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->header["typ"], "oauth-authz-req+jwt");
  EXPECT_EQ(parsed->header["kid"], object_.kid());
  EXPECT_EQ(parsed->claims["iss"], "orders");
  EXPECT_EQ(parsed->claims["client_id"], "orders");
  EXPECT_EQ(parsed->claims["aud"], kAudience);
  EXPECT_EQ(parsed->claims["max_age"].dump(), "60");
  EXPECT_EQ(parsed->claims["nbf"], object_.issued_at().seconds());
  EXPECT_EQ(parsed->claims["exp"], object_.expires_at().seconds());
  EXPECT_EQ(object_.expires_at().seconds() - object_.issued_at().seconds(), 90);
  EXPECT_FALSE(parsed->claims.contains("sub"));
}

TEST_F(PurposesTest, WrongFieldsAreNamed) {
  proof_request_.set_htu("https://api.example.com/orders?id=1");
  auto status = CreateProof();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(status.error_message().starts_with("htu: ")) << status.error_message();
  (*object_request_.mutable_claims()->mutable_fields())["max_age"].set_number_value(9007199254740993.0);
  status = CreateObject();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "claims: a whole number of 2^53 or more may have lost digits here; send the claims in claims_json, which "
            "keeps them");
  object_request_.clear_claims();
  object_request_.mutable_lifetime()->set_nanos(1);
  EXPECT_EQ(CreateObject().error_message(), "lifetime: must be whole seconds");
}

TEST_F(PurposesTest, AnotherPurposeIsDeniedAndNothingIsSigned) {
  const auto expect_denied = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << status.error_message();
    EXPECT_TRUE(status.error_message().contains("its configured purposes do not include")) << status.error_message();
  };
  const auto signed_before = queue_->statistics().queue_time.Read().total();
  expect_denied(Create());
  Allow({Purpose::kClientAssertion});
  expect_denied(CreateProof());
  expect_denied(CreateObject());
  EXPECT_EQ(queue_->statistics().queue_time.Read().total(), signed_before);
  EXPECT_EQ(response_.assertion() + proof_.proof() + object_.request_object(), "");
}

TEST_F(PurposesTest, TheAuditLogNamesThePurpose) {
  ASSERT_TRUE(CreateProof().ok());
  ASSERT_TRUE(CreateObject().ok());
  const auto proof = Audited("CreateDpopProof").at(0);
  EXPECT_EQ(proof["purpose"], "dpop");
  EXPECT_EQ(proof["htm"], "GET");
  EXPECT_EQ(proof["htu"], "https://api.example.com/orders");
  EXPECT_EQ(proof["jti"], proof_.jti());
  EXPECT_EQ(proof["kid"], proof_.kid());
  EXPECT_FALSE(proof.contains("lifetime_s"));
  EXPECT_FALSE(proof.contains("audience"));
  const auto object = Audited("CreateRequestObject").at(0);
  EXPECT_EQ(object["purpose"], "request_object");
  EXPECT_EQ(object["audience"], kAudience);
  EXPECT_EQ(object["lifetime_s"], 300);
}

TEST_F(PurposesTest, OneKeyForAllPurposesKeepsTheirHeadersApart) {
  Allow({Purpose::kClientAssertion, Purpose::kDpop, Purpose::kRequestObject});
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Create().ok() && CreateProof().ok() && CreateObject().ok());
    EXPECT_EQ(jws::ParseCompact(response_.assertion())->header["typ"], "JWT");
    EXPECT_EQ(jws::ParseCompact(proof_.proof())->header["typ"], "dpop+jwt");
    EXPECT_EQ(jws::ParseCompact(object_.request_object())->header["typ"], "oauth-authz-req+jwt");
  }
}

TEST_F(PurposesTest, AMessageThatIsNoUtf8IsNamedByItsField) {
  const auto status = CallRaw("/assertion.v1.AssertionService/CreateDpopProof", "\x1A\x01\xFF");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "htu: not valid UTF-8");
}

}  // namespace
}  // namespace assertion::service
