// AssertionService's unary calls over a Unix socket, with SoftHSM2: results, and the refusal of each kind of bad input.

#include "service/assertion_service.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <future>
#include <latch>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "held_server_fixture.h"
#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "x509/certificate.h"
#include "x509/pem.h"
#include "x509/verifier.h"

namespace assertion::service {
namespace {

class AssertionServiceTest : public ServerFixture {};
class BusyAssertionServiceTest : public BusyServerFixture {};
class HeldAssertionServiceTest : public HeldServerFixture {};

TEST_F(AssertionServiceTest, AnAssertionVerifiesWithTheJwksAndTheCertificate) {
  GenerateOrdersKey();
  (*request_.mutable_extra_claims()->mutable_fields())["tenant"].set_number_value(7);
  request_.mutable_lifetime()->set_seconds(60);
  const auto status = Create();
  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto parsed = jws::ParseCompact(response_.assertion());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->header["alg"], "RS256");
  EXPECT_EQ(parsed->header["kid"], response_.kid());
  EXPECT_EQ(parsed->header["typ"], "JWT");
  EXPECT_EQ(parsed->header.size(), 3U);
  const auto& claims = parsed->claims;
  EXPECT_EQ(claims["iss"], "orders");
  EXPECT_EQ(claims["sub"], "orders");
  EXPECT_EQ(claims["aud"], kAudience);
  EXPECT_EQ(claims["iat"], response_.issued_at().seconds());
  EXPECT_EQ(claims["exp"], response_.issued_at().seconds() + 60);
  EXPECT_EQ(claims["jti"], response_.jti());
  EXPECT_EQ(claims["tenant"].dump(), "7");  // not 7.0
  EXPECT_EQ(claims.size(), 7U);
  EXPECT_EQ(response_.client_assertion_type(), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

  v1::GetJwksRequest jwks_request;
  jwks_request.set_client_id("orders");
  v1::GetJwksResponse jwks_response;
  grpc::ClientContext jwks_context;
  ASSERT_TRUE(assertions_.GetJwks(&jwks_context, jwks_request, &jwks_response).ok());
  const auto jwks = nlohmann::json::parse(jwks_response.jwks());
  ASSERT_EQ(jwks["keys"].size(), 1U);
  const auto key = jws::ParseJwk(jwks["keys"][0]);
  ASSERT_TRUE(key);
  EXPECT_TRUE(x509::Verifier::New(*key, kAlgorithms[0])->Verify(parsed->signing_input, parsed->signature));

  v1::GetCertificateRequest certificate_request;
  certificate_request.set_client_id("orders");
  v1::GetCertificateResponse certificate;
  grpc::ClientContext certificate_context;
  ASSERT_TRUE(assertions_.GetCertificate(&certificate_context, certificate_request, &certificate).ok());
  EXPECT_EQ(x509::ParsePem(certificate.pem())->public_key, *key);
  EXPECT_EQ(x509::ParseCertificate(AsBytes(certificate.der()))->public_key, *key);
  ASSERT_EQ(certificate.chain_der_size(), 1);
  EXPECT_EQ(certificate.chain_der(0), certificate.der());
  EXPECT_EQ(certificate.x5t_s256(), jws::Sha256Thumbprint(AsBytes(certificate.der())));
  EXPECT_EQ(certificate.x5t_s256(), jwks["keys"][0]["x5t#S256"].get<std::string>());
  EXPECT_EQ(certificate.kid(), response_.kid());
  EXPECT_EQ(certificate.not_after().seconds() - certificate.not_before().seconds(), 30 * 86400);
}

TEST_F(AssertionServiceTest, EveryAssertionHasItsOwnJti) {
  GenerateOrdersKey();
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Create().ok());
    seen.insert(response_.jti());
  }
  EXPECT_EQ(seen.size(), 20U);
}

TEST_F(AssertionServiceTest, UnknownClient) {
  request_.set_client_id("nobody");
  ExpectRefused(StatusCode::NOT_FOUND, "client_id: no client \"nobody\" is configured");
}

TEST_F(AssertionServiceTest, AnEmptyClientId) {
  request_.clear_client_id();
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "client_id: must not be empty");
}

TEST_F(AssertionServiceTest, AudienceThatIsNotConfigured) {
  request_.set_audience("https://evil.example.com");
  ExpectRefused(StatusCode::INVALID_ARGUMENT,
                "audience: \"https://evil.example.com\" is not configured for client \"orders\"; it must match octet "
                "for octet");
}

TEST_F(AssertionServiceTest, LifetimeAboveTheMaximum) {
  request_.mutable_lifetime()->set_seconds(301);
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "lifetime: 301s is above this client's maximum of 300s");
}

TEST_F(AssertionServiceTest, LifetimeZeroNegativeHugeAndFractional) {
  request_.mutable_lifetime()->set_seconds(0);
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "lifetime: must be at least 1s");
  request_.mutable_lifetime()->set_seconds(-300);
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "lifetime: must be at least 1s");
  request_.mutable_lifetime()->set_seconds(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(Create().error_code(), StatusCode::INVALID_ARGUMENT);
  request_.mutable_lifetime()->set_seconds(std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(Create().error_code(), StatusCode::INVALID_ARGUMENT);
  request_.mutable_lifetime()->set_seconds(1);
  request_.mutable_lifetime()->set_nanos(1);
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "lifetime: must be whole seconds");
}

TEST_F(AssertionServiceTest, ClaimsThatAreNotAllowedOrReserved) {
  auto& claims = *request_.mutable_extra_claims()->mutable_fields();
  claims["role"].set_string_value("admin");
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims: \"role\" is not among the claims allowed for this client");
  claims.clear();
  claims["sub"].set_string_value("admin");
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims: \"sub\" is reserved: the client's profile decides it");
}

TEST_F(AssertionServiceTest, ClaimsOver8KiB) {
  (*request_.mutable_extra_claims()->mutable_fields())["tenant"].set_string_value(std::string(9000, 'a'));
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims: more than 8192 octets as JSON");
}

TEST_F(AssertionServiceTest, ClaimsThatAreNotJson) {
  auto& claims = *request_.mutable_extra_claims()->mutable_fields();
  for (const double number : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    claims["tenant"].mutable_list_value()->add_values()->set_number_value(number);
    ExpectRefused(StatusCode::INVALID_ARGUMENT,
                  "extra_claims: a value is not a JSON value (NaN, infinite, or of no kind)");
    claims.clear();
  }
  claims["tenant"].clear_kind();
  EXPECT_EQ(Create().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(AssertionServiceTest, WholeNumbersThatADoubleMayRoundAreRefused) {
  GenerateOrdersKey();
  auto& claims = *request_.mutable_extra_claims()->mutable_fields();
  for (const double number : {9007199254740992.0, -9007199254740992.0, 9007199254740994.0, 1e300}) {
    claims["tenant"].mutable_list_value()->add_values()->set_number_value(number);
    ExpectRefused(StatusCode::INVALID_ARGUMENT,
                  "extra_claims: a whole number of 2^53 or more may have lost digits here; send the claims in "
                  "extra_claims_json, which keeps them");
    claims.clear();
  }
  claims["tenant"].set_number_value(-9007199254740991.0);
  EXPECT_TRUE(Create().ok());
}

TEST_F(AssertionServiceTest, ClaimsAsTextAreSignedAsWritten) {
  GenerateOrdersKey();
  request_.set_extra_claims_json(R"({"tenant": [9007199254740993,1.0,-0,1e400]})");
  ASSERT_TRUE(Create().ok());
  const auto parsed = jws::ParseCompact(response_.assertion());
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->payload.ends_with(R"(,"tenant": [9007199254740993,1.0,-0,1e400]})")) << parsed->payload;
  request_.mutable_extra_claims();
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims_json: must not be set beside extra_claims");
}

TEST_F(AssertionServiceTest, AClientWithoutAKey) {
  request_.set_client_id("keyless");
  ExpectRefused(StatusCode::FAILED_PRECONDITION,
                "client 'keyless' has no key that signs now: assertionctl key generate --client-id keyless");
}

TEST_F(AssertionServiceTest, AKeyThatIsGoneFromTheToken) {
  GenerateOrdersKey();
  ASSERT_TRUE(Create().ok());
  std::filesystem::rename(hsm_.directory() / "tokens", hsm_.directory() / "gone");
  ExpectRefused(StatusCode::UNAVAILABLE, "the key is not on the token any more: see assertionctl doctor");
}

TEST_F(AssertionServiceTest, GetCertificateWithAKidReturnsTheCertificateOfThatKey) {
  GenerateOrdersKey();
  const auto get = [&](const std::string& kid, v1::GetCertificateResponse& response) {
    v1::GetCertificateRequest request;
    request.set_client_id("orders");
    request.set_kid(kid);
    grpc::ClientContext context;
    return assertions_.GetCertificate(&context, request, &response);
  };
  v1::GetCertificateResponse any;
  ASSERT_TRUE(get("", any).ok());
  v1::GetCertificateResponse named;
  ASSERT_TRUE(get(any.kid(), named).ok());
  EXPECT_EQ(named.der(), any.der());
  v1::GetCertificateResponse other;
  const auto status = get("another", other);
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "kid: client 'orders' has no such key");
}

TEST_F(AssertionServiceTest, CertificateAndJwksOfClientsWithoutAKey) {
  for (const auto& [client_id, code] : {std::pair{"nobody", StatusCode::NOT_FOUND},
                                        {"keyless", StatusCode::FAILED_PRECONDITION},
                                        {"", StatusCode::INVALID_ARGUMENT}}) {
    v1::GetCertificateRequest certificate_request;
    certificate_request.set_client_id(client_id);
    v1::GetCertificateResponse certificate;
    grpc::ClientContext certificate_context;
    EXPECT_EQ(assertions_.GetCertificate(&certificate_context, certificate_request, &certificate).error_code(), code);
    v1::GetJwksRequest jwks_request;
    jwks_request.set_client_id(client_id);
    v1::GetJwksResponse jwks;
    grpc::ClientContext jwks_context;
    EXPECT_EQ(assertions_.GetJwks(&jwks_context, jwks_request, &jwks).error_code(), code);
  }
}

TEST_F(AssertionServiceTest, AKeyWithoutCertificateSigns) {
  hsm_.MakeKey("orders", {1}, true, false);
  {
    const auto contents = hsm_.token().Read({"orders"});
    const auto hold = ledger_->Take("orders");
    auto next = (*hold)->current();
    next.version = 1;
    next.keys.push_back({.kid = jws::JwkThumbprint(contents->keys.at(0).public_key),
                         .algorithm = kAlgorithms.data(),
                         .id = {1},
                         .certificates = {},
                         .publish_from = SystemTime(),
                         .sign_from = SystemTime()});
    ASSERT_TRUE((*hold)->Commit(next));
  }
  ASSERT_TRUE(keys_->Refresh());
  EXPECT_TRUE(Create().ok());
  v1::GetCertificateRequest request;
  request.set_client_id("orders");
  v1::GetCertificateResponse certificate;
  grpc::ClientContext context;
  const auto status = assertions_.GetCertificate(&context, request, &certificate);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "the key of client 'orders' has no certificate");
}

TEST_F(BusyAssertionServiceTest, AFullQueueRefusesAtOnce) {
  auto second = CallLater();
  AwaitFullQueue();
  const auto third = Call();
  EXPECT_EQ(third.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(third.error_message(), "the signing queue is full; try again later");
  google::rpc::Status details;
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.ParseFromString(third.error_details()) && details.details_size() == 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().nanos(), 10'000'000);
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_TRUE(second.get().ok());
}

TEST_F(BusyAssertionServiceTest, ARefusalIsAuditedButDoesNotWaitForTheLog) {
  auto second = CallLater();
  AwaitFullQueue();
  std::latch hold(1);
  audit_->Record({}, [&hold](const Status&) { hold.wait(); });  // keeps the writing thread busy
  EXPECT_EQ(Call(std::chrono::seconds(10)).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  hold.count_down();
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_TRUE(second.get().ok());
  const auto lines = Audited("CreateAssertion");
  EXPECT_EQ(
      std::ranges::count(lines, nlohmann::json("RESOURCE_EXHAUSTED"), [](const auto& line) { return line["outcome"]; }),
      1);
}

TEST_F(BusyAssertionServiceTest, NothingIsSignedAfterTheDeadline) {
  EXPECT_EQ(Call(std::chrono::milliseconds(300)).error_code(), StatusCode::DEADLINE_EXCEEDED);
  AwaitEmptyQueue();  // the call leaves the queue although the only worker is busy
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_TRUE(Call().ok());  // the worker is free again
  EXPECT_EQ(held_.signing(), 2);
}

TEST_F(BusyAssertionServiceTest, ACancelledCallLeavesTheQueue) {
  grpc::ClientContext context;
  auto cancelled = std::async(std::launch::async, [&] {
    v1::CreateAssertionResponse response;
    return stub_.CreateAssertion(&context, request_, &response);
  });
  AwaitFullQueue();
  context.TryCancel();
  EXPECT_EQ(cancelled.get().error_code(), StatusCode::CANCELLED);
  AwaitEmptyQueue();
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_EQ(held_.signing(), 1);
}

TEST_F(HeldAssertionServiceTest, ASignatureOfAKeyRevokedMeanwhileIsNotReleased) {
  const auto call = [this] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::CreateAssertionResponse response;
    auto status = stub_.CreateAssertion(&context, request_, &response);
    return std::pair(std::move(status), std::move(response));
  };
  std::vector<std::future<std::pair<grpc::Status, v1::CreateAssertionResponse>>> calls;
  for (int i = 0; i < 6; ++i) {
    calls.push_back(std::async(std::launch::async, call));
  }
  AwaitTaken(calls.size());
  grpc::ClientContext context;
  v1::RevokeKeyRequest request;
  request.set_client_id("orders");
  request.set_kid(keys_->Snapshot()->at("orders").keys.front().record.kid);
  request.mutable_change()->set_expected_version(1);
  request.mutable_change()->set_force_client_id("orders");
  v1::RevokeKeyResponse revoked;
  const auto status = key_admin_.RevokeKey(&context, request, &revoked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  Release();
  for (auto& later : calls) {
    const auto [refused, response] = later.get();
    EXPECT_EQ(refused.error_code(), StatusCode::UNAVAILABLE);
    EXPECT_EQ(refused.error_message(), "the key was revoked while this call waited; try again");
    EXPECT_EQ(response.assertion(), "");
  }
}

// Over HTTP: gRPC's connections of the caller end with the reload.
TEST_F(HeldAssertionServiceTest, ATranslatedCallIsNotReleasedToACallerThatAReloadRemoved) {
  Peers peers;
  AwaitedMessages awaited;
  const AssertionService service(policy_, *held_hsms_, peers, awaited, {.log = audit_.get(), .refusals = nullptr},
                                 nullptr);
  std::promise<Result<grpc::ByteBuffer>> released;
  service.Create({.caller = Caller::Authenticated({OwnIdentity()}),
                  .deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30),
                  .trace_id = {},
                  .release = [&](Result<grpc::ByteBuffer> outcome) { released.set_value(std::move(outcome)); }},
                 request_);
  AwaitTaken(1);
  auto clients = Clients();
  for (auto& client : clients) {
    client.callers = {"uid:4294967294"};
  }
  SetPolicy(clients);
  Release();
  const auto outcome = released.get_future().get();
  ASSERT_FALSE(outcome) << "an assertion left";
  EXPECT_EQ(outcome.error().code, Code::kPermissionDenied);
}

}  // namespace
}  // namespace assertion::service
