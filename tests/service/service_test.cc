// The services over a real Unix socket, with SoftHSM2 behind: every line of the contract for bad input.

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <map>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <set>
#include <thread>

#include "assertion/v1/assertion.grpc.pb.h"
#include "assertion/v1/key_admin.grpc.pb.h"
#include "audit/log.h"
#include "audit/verification.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "keys/token_ledger.h"
#include "replica.h"
#include "service/server.h"
#include "service/tcp_sockets.h"
#include "service/trusted_folder.h"
#include "service/worker.h"
#include "signing/jws_key.h"
#include "softhsm.h"
#include "wrapped_token.h"
#include "x509/certificate.h"

namespace assertion::service {
namespace {

using grpc::StatusCode;

constexpr const char* kAudience = "https://localhost:9443/oauth2/token";

std::vector<Client> Clients() {
  Client orders;
  orders.client_id = "orders";
  orders.audiences = {kAudience, "https://localhost:9443/oauth2/par"};
  orders.extra_claims = {"tenant"};
  orders.callers = {"uid:" + std::to_string(geteuid())};
  Client keyless = orders;
  keyless.client_id = "keyless";
  return {orders, keyless};
}

std::vector<Operator> Operators() {
  return {{.caller = "uid:" + std::to_string(geteuid()), .roles = {Role::kOperator}}};
}

class ServiceTest : public testing::Test {
 protected:
  ServiceTest()
      : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
        ledger_(*TokenLedger::Open(hsm_.token(), "test", SystemTime, RandomOctets)),
        keys_(*KeyRing::Load(hsm_.token(), *ledger_, Clients(), SystemTime, RandomOctets)),
        custodian_(hsm_.token(), *ledger_, *certifier_, *keys_, RandomOctets),
        policy_(std::make_shared<const Policy>(Clients(), Operators(), SystemTime, RandomOctets)),
        queue_(std::make_unique<SigningQueue>(hsm_.token(), SigningQueue::Options{.sessions = 2, .capacity = 64})),
        audit_key_(*JwsKey::FindOrGenerate(hsm_.token(), kAuditKeyLabel, audit::kCheckpointType, RandomOctets)),
        audit_(*audit::Log::Open({.path = audit_path()},
                                 {.sign = audit_key_.SignThrough(*queue_), .jwk = audit_key_.Jwk()},
                                 *audit::ToPublicKeys(audit_key_.public_key()), {})),
        hsms_(Of(*queue_)),
        server_(*Server::Start({.socket_path = socket(), .socket_group = {}, .tls = {}}, policy_, *hsms_,
                               Administered(hsm_.token()), audit_.get())),
        channel_(grpc::CreateChannel("unix:" + socket(), grpc::experimental::LocalCredentials(UDS))),
        assertions_(channel_),
        key_admin_(channel_) {}

  std::unique_ptr<HsmGroup> Of(SigningQueue& queue) {
    auto hsms = std::make_unique<HsmGroup>();
    hsms->Add(0, {.name = "test", .token = hsm_.token(), .keys = *keys_, .queue = queue});
    return hsms;
  }

  // What a server administers: the same keys, on that token.
  AdministeredHsms Administered(Token& token) {
    return [this, &token] {
      return std::vector<AdministeredHsm>{{.name = "test", .token = token, .keys = *keys_, .custodian = custodian_}};
    };
  }

  std::string socket() const { return hsm_.directory() / "assertiond.sock"; }

  std::string audit_path() const { return hsm_.directory() / "audit.log"; }

  // The lines of that event, as JSON.
  std::vector<nlohmann::json> Audited(const std::string& event) const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(audit_path());
    for (std::string text; std::getline(file, text);) {
      if (auto line = nlohmann::json::parse(text); line["event"] == event) {
        lines.push_back(std::move(line));
      }
    }
    return lines;
  }

  void GenerateOrdersKey() {
    ASSERT_TRUE(custodian_.Generate(
        {.client_id = "orders", .expected_version = 0, .request_id = {}, .digest = {}, .forced = false},
        {.bits = 2048, .common_name = "orders", .certificate_validity = std::chrono::days(30)}));
  }

  grpc::Status Create() {
    grpc::ClientContext context;
    return assertions_.CreateAssertion(&context, request_, &response_);
  }

  void ExpectRefused(StatusCode code, const std::string& message) {
    const auto status = Create();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_EQ(status.error_message(), message);
    ExpectNoLeak(status.error_message());
  }

  // What no caller may learn.
  void ExpectNoLeak(const std::string& message) const {
    for (const std::string& secret :
         {std::string(SoftHsm::kPin), std::string(SOFTHSM2_MODULE), hsm_.directory().string(), std::string("C_")}) {
      EXPECT_EQ(message.find(secret), std::string::npos) << message;
    }
  }

  // Sends octets that no client library would.
  grpc::Status CallRaw(const std::string& method, const std::string& octets, std::string* answer = nullptr) {
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel_);
    grpc::ClientContext context;
    const grpc::Slice slice(octets);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                   [&](const grpc::Status& status) { done.set_value(status); });
    auto status = done.get_future().get();
    grpc::Slice whole;
    if (answer != nullptr && status.ok() && response.DumpToSingleSlice(&whole).ok()) {
      answer->assign(reinterpret_cast<const char*>(whole.begin()), whole.size());
    }
    return status;
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  std::unique_ptr<TokenLedger> ledger_;
  std::unique_ptr<KeyRing> keys_;
  KeyCustodian custodian_;
  CurrentPolicy policy_;
  std::unique_ptr<SigningQueue> queue_;
  JwsKey audit_key_;
  std::unique_ptr<audit::Log> audit_;
  std::unique_ptr<HsmGroup> hsms_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  v1::AssertionService::Stub assertions_;
  v1::KeyAdminService::Stub key_admin_;
  v1::CreateAssertionRequest request_ = [] {
    v1::CreateAssertionRequest request;
    request.set_client_id("orders");
    return request;
  }();
  v1::CreateAssertionResponse response_;
};

TEST_F(ServiceTest, AnAssertionVerifiesWithTheJwksAndTheCertificate) {
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
  EXPECT_EQ(claims["tenant"].dump(), "7");  // a whole number stays one
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

TEST_F(ServiceTest, EveryAssertionHasAnotherJti) {
  GenerateOrdersKey();
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Create().ok());
    seen.insert(response_.jti());
  }
  EXPECT_EQ(seen.size(), 20U);
}

TEST_F(ServiceTest, UnknownClient) {
  request_.set_client_id("nobody");
  ExpectRefused(StatusCode::NOT_FOUND, "client_id: no client \"nobody\" is configured");
}

// Who this process is known as, in every place that the policy has for it, against every method.
TEST_F(ServiceTest, EveryMethodAsksWhoIsCalling) {
  GenerateOrdersKey();
  const auto me = "uid:" + std::to_string(geteuid());
  enum Place { kNowhere, kClient, kViewer, kOperator, kApprover, kPlaces };
  const auto put_me = [&](Place place) {
    auto clients = Clients();
    clients.front().callers.clear();
    std::vector<Operator> operators;
    if (place == kClient) {
      clients.front().callers = {me};
    } else if (place != kNowhere) {
      operators = {{.caller = me,
                    .roles = {place == kViewer     ? Role::kViewer
                              : place == kOperator ? Role::kOperator
                                                   : Role::kApprover}}};
    }
    policy_.store(std::make_shared<const Policy>(clients, operators, SystemTime, RandomOctets));
  };
  v1::GetKeyRequest named;
  named.set_client_id("orders");
  const auto octets = named.SerializeAsString();  // client_id is the first field of all
  const std::map<std::string, std::set<Place>> allowed = {
      {"AssertionService/CreateAssertion", {kClient}},
      {"AssertionService/GetCertificate", {kClient, kViewer, kOperator, kApprover}},
      {"AssertionService/GetJwks", {kClient, kViewer, kOperator, kApprover}},
      {"KeyAdminService/ListKeys", {kViewer, kOperator, kApprover}},
      {"KeyAdminService/ListPendingChanges", {kViewer, kOperator, kApprover}},
      {"KeyAdminService/ApproveChange", {kApprover}},
      {"KeyAdminService/WithdrawChange", {kOperator, kApprover}},
      {"KeyAdminService/GetAuditHead", {kViewer, kOperator, kApprover}},
      {"KeyAdminService/GetKey", {kViewer, kOperator, kApprover}},
      {"KeyAdminService/CreateEvidence", {kViewer, kOperator, kApprover}},
      {"KeyAdminService/CreateCsr", {kOperator}},
      {"KeyAdminService/GenerateKey", {kOperator}},
      {"KeyAdminService/ImportCertificate", {kOperator}},
      {"KeyAdminService/RotateKey", {kOperator}},
      {"KeyAdminService/ScheduleKey", {kOperator}},
      {"KeyAdminService/RevokeKey", {kOperator}},
      {"KeyAdminService/DestroyKey", {kOperator}},
      {"KeyAdminService/AcceptLedger", {kOperator}},
      {"KeyAdminService/ProveKey", {kOperator}}};
  std::size_t methods = 0;
  for (const auto* service : {v1::AssertionService::service_full_name(), v1::KeyAdminService::service_full_name()}) {
    const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    methods += static_cast<std::size_t>(descriptor->method_count());
  }
  EXPECT_EQ(methods, allowed.size() + 1) << "and CreateAssertions, whose requests are refused one by one";
  for (const auto& [method, places] : allowed) {
    for (int place = kNowhere; place != kPlaces; ++place) {
      put_me(static_cast<Place>(place));
      const bool is_bare =
          method.ends_with("ListKeys") || method.ends_with("GetAuditHead") || method.ends_with("ListPendingChanges");
      const auto status = CallRaw("/assertion.v1." + method, is_bare ? "" : octets);
      EXPECT_EQ(status.error_code() != StatusCode::PERMISSION_DENIED, places.contains(static_cast<Place>(place)))
          << method << " at place " << place << ": " << status.error_message();
      if (status.error_code() == StatusCode::PERMISSION_DENIED) {
        EXPECT_TRUE(status.error_message().starts_with("you are known here as \"" + me + "\""))
            << status.error_message();
      }
    }
  }
  // What reads is not recorded; every call of any other method is, with the caller and the outcome.
  for (const auto& [method, places] : allowed) {
    const auto lines = Audited(method.substr(method.find('/') + 1));
    const bool reads = method.find("/Get") != std::string::npos || method.find("/List") != std::string::npos;
    ASSERT_EQ(lines.size(), reads ? 0U : static_cast<std::size_t>(kPlaces)) << method;
    for (int place = kNowhere; !reads && place != kPlaces; ++place) {
      const auto& line = lines[static_cast<std::size_t>(place)];
      EXPECT_EQ(line["caller"], me);
      EXPECT_EQ(line["outcome"] != "PERMISSION_DENIED", places.contains(static_cast<Place>(place))) << line;
    }
  }
}

TEST_F(ServiceTest, WithoutAnAuditLogThatCanBeWrittenNothingIsDone) {
  GenerateOrdersKey();
  std::filesystem::remove(audit_path());
  ExpectRefused(StatusCode::UNAVAILABLE, "the audit log cannot be written; try again later");
  ExpectRefused(StatusCode::UNAVAILABLE, "the audit log cannot be written; try again later");
  v1::GenerateKeyRequest generate;
  generate.set_client_id("keyless");
  generate.mutable_change()->set_expected_version(0);
  v1::GenerateKeyResponse generated;
  grpc::ClientContext context;
  EXPECT_EQ(key_admin_.GenerateKey(&context, generate, &generated).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(keys_->Snapshot()->at("keyless").keys.empty());
}

TEST_F(ServiceTest, NoClient) {
  request_.clear_client_id();
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "client_id: must not be empty");
}

TEST_F(ServiceTest, AudienceThatIsNotConfigured) {
  request_.set_audience("https://evil.example.com");
  ExpectRefused(StatusCode::INVALID_ARGUMENT,
                "audience: \"https://evil.example.com\" is not configured for client \"orders\"; it must match octet "
                "for octet");
}

TEST_F(ServiceTest, LifetimeAboveTheMaximum) {
  request_.mutable_lifetime()->set_seconds(301);
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "lifetime: 301s is above this client's maximum of 300s");
}

TEST_F(ServiceTest, LifetimeZeroNegativeHugeAndFractional) {
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

TEST_F(ServiceTest, ClaimsThatAreNotAllowedOrReserved) {
  auto& claims = *request_.mutable_extra_claims()->mutable_fields();
  claims["role"].set_string_value("admin");
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims: \"role\" is not among the claims allowed for this client");
  claims.clear();
  claims["sub"].set_string_value("admin");
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims: \"sub\" is reserved and set by the server");
}

TEST_F(ServiceTest, ClaimsOver8KiB) {
  (*request_.mutable_extra_claims()->mutable_fields())["tenant"].set_string_value(std::string(9000, 'a'));
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims: more than 8192 octets as JSON");
}

TEST_F(ServiceTest, ClaimsThatAreNotJson) {
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

TEST_F(ServiceTest, WholeNumbersThatADoubleMayNotHoldAreRefused) {
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

TEST_F(ServiceTest, ClaimsAsTextAreSignedAsWritten) {
  GenerateOrdersKey();
  request_.set_extra_claims_json(R"({"tenant": [9007199254740993,1.0,-0,1e400]})");
  ASSERT_TRUE(Create().ok());
  const auto parsed = jws::ParseCompact(response_.assertion());
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->payload.ends_with(R"(,"tenant": [9007199254740993,1.0,-0,1e400]})")) << parsed->payload;
  request_.mutable_extra_claims();
  ExpectRefused(StatusCode::INVALID_ARGUMENT, "extra_claims_json: must not be set beside extra_claims");
}

TEST_F(ServiceTest, InvalidUtf8NamesItsField) {
  const std::string method = "/assertion.v1.AssertionService/CreateAssertion";
  auto status = CallRaw(method, "\x0a\x02\xff\xfe");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "client_id: not valid UTF-8");
  status = CallRaw(method, "\x0a\x06orders\x12\x01\xc3");
  EXPECT_EQ(status.error_message(), "audience: not valid UTF-8");
  for (const auto* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x8f\xbf\xbf", "\xe2\x82"}) {
    request_.set_client_id(bad);
    status = CallRaw(method, request_.SerializeAsString());
    EXPECT_EQ(status.error_message(), "client_id: not valid UTF-8");
  }
  // extra_claims { fields { key: "\xff" value {} } }
  status = CallRaw(method, std::string("\x0a\x06orders\x22\x07\x0a\x05\x0a\x01\xff\x12\x00", 17));
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "extra_claims.fields.key: not valid UTF-8");
}

// What Protobuf says of the strings goes to the log, a few lines a second.
TEST_F(ServiceTest, InvalidUtf8MakesFewLinesOfTheLogHoweverOften) {
  const auto lines = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(1000);
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", lines));
  testing::internal::CaptureStderr();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(CallRaw("/assertion.v1.AssertionService/GetJwks", "\x0a\x01\xff").error_code(),
              StatusCode::INVALID_ARGUMENT);
  }
  const auto raw = testing::internal::GetCapturedStderr();
  spdlog::set_default_logger(before);
  EXPECT_EQ(raw, "");
  EXPECT_LT(lines->last_formatted().size(), 50U);
}

// Else a stranger has it parsed, searched and complained of in the log, as often as there are calls.
TEST_F(ServiceTest, TheMessageOfAStrangerIsNotRead) {
  auto clients = Clients();
  for (auto& client : clients) {
    client.callers.clear();
  }
  policy_.store(std::make_shared<const Policy>(clients, std::vector<Operator>(), SystemTime, RandomOctets));
  for (const auto* method : {"AssertionService/CreateAssertion", "AssertionService/GetCertificate",
                             "AssertionService/GetJwks", "KeyAdminService/GenerateKey", "KeyAdminService/ListKeys"}) {
    for (const std::string octets : {"\x0a\x01\xff", "\xff\xff\xff", ""}) {
      const auto status = CallRaw(std::string("/assertion.v1.") + method, octets);
      EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << method << ": " << status.error_message();
    }
  }
}

TEST_F(ServiceTest, OctetsThatAreNoMessage) {
  for (const auto* method : {"/assertion.v1.AssertionService/CreateAssertion",
                             "/assertion.v1.AssertionService/GetCertificate", "/assertion.v1.AssertionService/GetJwks",
                             "/assertion.v1.KeyAdminService/GenerateKey", "/assertion.v1.KeyAdminService/ListKeys"}) {
    const auto status = CallRaw(method, "\xff\xff\xff");
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_NE(status.error_message().find("is not a assertion.v1."), std::string::npos) << status.error_message();
  }
}

TEST_F(ServiceTest, ARequestOver64KiB) {
  request_.set_audience(std::string(65536, 'a'));
  EXPECT_EQ(Create().error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServiceTest, AKeyThatIsMissing) {
  request_.set_client_id("keyless");
  ExpectRefused(StatusCode::FAILED_PRECONDITION,
                "client 'keyless' has no key that signs now: assertionctl key generate --client-id keyless");
}

TEST_F(ServiceTest, ATokenThatIsGone) {
  GenerateOrdersKey();
  ASSERT_TRUE(Create().ok());
  std::filesystem::rename(hsm_.directory() / "tokens", hsm_.directory() / "gone");
  ExpectRefused(StatusCode::UNAVAILABLE, "the key is not on the token any more: see assertionctl doctor");
}

TEST_F(ServiceTest, GenerateAndListKeys) {
  v1::GenerateKeyRequest request;
  request.set_client_id("orders");
  request.set_key_bits(3072);
  request.set_common_name("Orders");
  request.mutable_certificate_validity()->set_seconds(86400);
  request.mutable_change()->set_expected_version(0);
  v1::GenerateKeyResponse response;
  grpc::ClientContext context;
  const auto status = key_admin_.GenerateKey(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.key().client_id(), "orders");
  EXPECT_EQ(response.key().key_bits(), 3072);
  EXPECT_EQ(response.key().algorithm(), "RS256");
  EXPECT_EQ(response.key().not_after().seconds() - response.key().not_before().seconds(), 86400);

  v1::ListKeysResponse list;
  grpc::ClientContext list_context;
  ASSERT_TRUE(key_admin_.ListKeys(&list_context, {}, &list).ok());
  ASSERT_EQ(list.keys_size(), 1);
  EXPECT_EQ(list.keys(0).SerializeAsString(), response.key().SerializeAsString());

  EXPECT_EQ(list.versions().at("orders"), 1);
  EXPECT_EQ(list.versions().at("keyless"), 0);

  // Decided on what was there before the first.
  v1::GenerateKeyResponse second;
  grpc::ClientContext second_context;
  EXPECT_EQ(key_admin_.GenerateKey(&second_context, request, &second).error_code(), StatusCode::ABORTED);
}

TEST_F(ServiceTest, AKeyIsMadeForTheAlgorithmThatIsAskedForAndItsSuccessorForAnother) {
  const auto create = [&](const std::string& algorithm) {
    const auto status = Create();
    ASSERT_TRUE(status.ok()) << status.error_message();
    const auto parsed = jws::ParseCompact(response_.assertion());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->header["alg"], algorithm);
    const auto key = keys_->SigningKeyOf("orders");
    ASSERT_TRUE(key);
    EXPECT_TRUE((*key)->verifier.Verify(parsed->signing_input, parsed->signature));
  };
  v1::GenerateKeyRequest request;
  request.set_client_id("orders");
  request.set_algorithm("ES256");
  request.mutable_change()->set_expected_version(0);
  v1::GenerateKeyResponse made;
  grpc::ClientContext context;
  const auto status = key_admin_.GenerateKey(&context, request, &made);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(made.key().algorithm(), "ES256");
  EXPECT_EQ(made.key().key_bits(), 256);
  create("ES256");

  v1::RotateKeyRequest rotate;
  rotate.set_client_id("orders");
  rotate.set_algorithm("ES512");
  rotate.set_key_bits(521);
  rotate.mutable_sign_from()->set_seconds(keys_->Now().time_since_epoch().count());
  rotate.mutable_change()->set_expected_version(1);
  rotate.mutable_change()->set_force_client_id("orders");
  v1::RotateKeyResponse rotated;
  grpc::ClientContext rotate_context;
  const auto answer = key_admin_.RotateKey(&rotate_context, rotate, &rotated);
  ASSERT_TRUE(answer.ok()) << answer.error_message();
  EXPECT_EQ(rotated.key().algorithm(), "ES512");
  EXPECT_EQ(rotated.key().key_bits(), 521);
  EXPECT_EQ(rotated.predecessor().algorithm(), "ES256");
  create("ES512");
}

TEST_F(ServiceTest, GenerateKeyRefusesWhatIsOutOfRange) {
  const auto expect = [&](const std::function<void(v1::GenerateKeyRequest&)>& change, StatusCode code,
                          const std::string& field) {
    v1::GenerateKeyRequest request;
    request.set_client_id("orders");
    request.mutable_change()->set_expected_version(0);
    change(request);
    v1::GenerateKeyResponse response;
    grpc::ClientContext context;
    const auto status = key_admin_.GenerateKey(&context, request, &response);
    EXPECT_EQ(status.error_code(), code);
    EXPECT_TRUE(status.error_message().starts_with(field)) << status.error_message();
  };
  expect([](auto& r) { r.set_client_id("nobody"); }, StatusCode::NOT_FOUND, "client_id:");
  expect([](auto& r) { r.set_key_bits(1024); }, StatusCode::INVALID_ARGUMENT, "key_bits:");
  expect([](auto& r) { r.set_key_bits(-1); }, StatusCode::INVALID_ARGUMENT, "key_bits:");
  expect([](auto& r) { r.set_algorithm("HS256"); }, StatusCode::INVALID_ARGUMENT,
         "algorithm: must be one of: RS256, RS384,");
  expect(
      [](auto& r) {
        r.set_algorithm("ES256");
        r.set_key_bits(2048);
      },
      StatusCode::INVALID_ARGUMENT, "key_bits: must be 256 of a key for ES256");
  expect([](auto& r) { r.set_common_name(std::string(65, 'a')); }, StatusCode::INVALID_ARGUMENT, "common_name:");
  expect([](auto& r) { r.set_common_name("a\nb"); }, StatusCode::INVALID_ARGUMENT, "common_name:");
  for (const std::int64_t seconds : {0L, -1L, 86399L, 3650L * 86400 + 1}) {
    expect([=](auto& r) { r.mutable_certificate_validity()->set_seconds(seconds); }, StatusCode::INVALID_ARGUMENT,
           "certificate_validity:");
  }
  expect([](auto& r) { r.mutable_change()->clear_expected_version(); }, StatusCode::INVALID_ARGUMENT,
         "change.expected_version:");
  expect([](auto& r) { r.mutable_change()->set_request_id(std::string(65, 'a')); }, StatusCode::INVALID_ARGUMENT,
         "change.request_id:");
  expect([](auto& r) { r.mutable_change()->set_force_client_id("keyless"); }, StatusCode::INVALID_ARGUMENT,
         "change.force_client_id:");
  EXPECT_TRUE(hsm_.token().Read({"orders"})->keys.empty());
}

TEST_F(ServiceTest, TheCertificateOfOneKidIsThatKeysOrNone) {
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

TEST_F(ServiceTest, CertificateAndJwksOfWhoHasNone) {
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

TEST_F(ServiceTest, AKeyWithoutCertificateSigns) {
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

TEST_F(ServiceTest, HealthAndReflectionAnswer) {
  std::string health;
  EXPECT_TRUE(CallRaw("/grpc.health.v1.Health/Check", "", &health).ok());
  EXPECT_EQ(health, "\x08\x01");  // grpc.health.v1.HealthCheckResponse { status: SERVING }
  EXPECT_EQ(CallRaw("/grpc.health.v1.Health/Check", "\x0a\x01x").error_code(), StatusCode::NOT_FOUND);
  EXPECT_NE(CallRaw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "").error_code(),
            StatusCode::UNIMPLEMENTED);
}

TEST_F(ServiceTest, OnePeerHasAFewCallsOfReflection) {
  const auto channel = grpc::CreateChannel("unix:" + socket(), grpc::experimental::LocalCredentials(UDS));
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel);
  grpc::CompletionQueue queue;
  constexpr std::size_t kCalls = 3;
  std::array<grpc::ClientContext, kCalls> contexts;
  std::array<grpc::Status, kCalls> statuses;
  std::vector<std::unique_ptr<grpc::GenericClientAsyncReaderWriter>> calls;
  const auto next = [&]() -> void* {
    void* tag = nullptr;
    bool ok = false;
    do {
      if (queue.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + std::chrono::seconds(30)) !=
          grpc::CompletionQueue::GOT_EVENT) {
        return nullptr;
      }
    } while (tag == nullptr);
    return tag;
  };
  for (std::size_t i = 0; i < kCalls; ++i) {
    calls.push_back(
        stub.PrepareCall(&contexts.at(i), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue));
    calls.back()->StartCall(nullptr);
    calls.back()->Finish(&statuses.at(i), &statuses.at(i));
  }
  const auto* const refused = static_cast<const grpc::Status*>(next());
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->error_code(), StatusCode::CANCELLED) << refused->error_message();
  for (auto& context : contexts) {
    context.TryCancel();
  }
  EXPECT_NE(next(), nullptr);
  EXPECT_NE(next(), nullptr);
}

TEST_F(ServiceTest, TheSocketIsForOwnerAndGroupOnly) {
  struct stat info{};
  ASSERT_EQ(stat(socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0660U);
}

TEST_F(ServiceTest, ASocketInUseIsNotTakenOver) {
  const auto second = Server::Start({.socket_path = socket(), .socket_group = {}, .tls = {}}, policy_, *hsms_,
                                    Administered(hsm_.token()), audit_.get());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAddressUnusable);
  EXPECT_NE(second.error().message.find("another server"), std::string::npos);
  EXPECT_EQ(Create().error_code(), StatusCode::FAILED_PRECONDITION);  // the first still answers
}

TEST(TcpSocketsTest, APortThatAnotherListensOnIsRefused) {
  const auto first = TcpSockets::Listen("127.0.0.1:0");
  ASSERT_TRUE(first) << first.error().ToString();
  const auto address = "127.0.0.1:" + std::to_string(first->port());
  const auto second = TcpSockets::Listen(address);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAddressUnusable);
  EXPECT_EQ(second.error().message, "cannot listen on " + address);
  EXPECT_NE(second.error().detail.find("in use"), std::string::npos) << second.error().detail;
}

TEST(TcpSocketsTest, AnAddressThatTheMachineDoesNotHaveIsRefused) {
  for (const auto* const address : {"192.0.2.1:0", "[2001:db8::1]:0", "no port"}) {
    const auto listening = TcpSockets::Listen(address);
    ASSERT_FALSE(listening) << address;
    EXPECT_EQ(listening.error().code, Code::kAddressUnusable);
    EXPECT_EQ(listening.error().message, std::string("cannot listen on ") + address);
  }
}

// A client of that address; the origin that its connection has at the server, and the client's port.
std::pair<std::optional<Connections::Origin>, int> OriginOfAClient(const TcpSockets& sockets, const sockaddr* to,
                                                                   socklen_t size) {
  const Descriptor client(socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(client.get(), to, size) != 0) {
    return {};
  }
  sockaddr_in6 own{};  // the port of either family stands at the same place
  socklen_t own_size = sizeof own;
  getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &own_size);
  pollfd comes{.fd = sockets.descriptors().front(), .events = POLLIN, .revents = 0};
  poll(&comes, 1, -1);
  const Descriptor accepted(accept4(sockets.descriptors().front(), nullptr, nullptr, SOCK_CLOEXEC));
  int at_once = 0;
  socklen_t at_once_size = sizeof at_once;
  getsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, &at_once_size);
  EXPECT_NE(at_once, 0) << "answers wait for acknowledgements";
  return {TcpSockets::OriginOf(accepted.get()), ntohs(own.sin6_port)};
}

TEST(TcpSocketsTest, EitherWildcardTakesBothFamiliesAndCountsByAddress) {
  for (const auto* const wildcard : {"0.0.0.0:0", "[::]:0"}) {
    const auto sockets = TcpSockets::Listen(wildcard);
    ASSERT_TRUE(sockets) << sockets.error().ToString();
    const auto port = htons(static_cast<std::uint16_t>(sockets->port()));
    const sockaddr_in v4{
        .sin_family = AF_INET, .sin_port = port, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    const auto [origin, client] = OriginOfAClient(*sockets, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    ASSERT_TRUE(origin);
    EXPECT_EQ(origin->peer, "ipv4:127.0.0.1:" + std::to_string(client));
    EXPECT_EQ(origin->counted, "ipv4:127.0.0.1");
    const sockaddr_in6 v6{.sin6_family = AF_INET6,
                          .sin6_port = port,
                          .sin6_flowinfo = 0,
                          .sin6_addr = in6addr_loopback,
                          .sin6_scope_id = 0};
    const auto [other, port6] = OriginOfAClient(*sockets, reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
    if (other) {  // there are machines without IPv6
      EXPECT_EQ(other->peer, "ipv6:%5B::1%5D:" + std::to_string(port6));
      EXPECT_EQ(other->counted, "ipv6:::/64");
    }
  }
}

TEST_F(ServiceTest, AFileOrAnOpenFolderIsNoPlaceForASocket) {
  const auto expect = [&](const std::string& path, const std::string& part) {
    const auto server = Server::Start({.socket_path = path, .socket_group = {}, .tls = {}}, policy_, *hsms_,
                                      Administered(hsm_.token()), audit_.get());
    ASSERT_FALSE(server) << path;
    EXPECT_EQ(server.error().code, Code::kAddressUnusable);
    EXPECT_NE(server.error().message.find(part), std::string::npos) << server.error().message;
  };
  const auto file = hsm_.Write("file", "content");
  expect(file, "something else than a socket");
  EXPECT_EQ(std::filesystem::file_size(file), 7U);
  std::filesystem::create_directory(hsm_.directory() / "open");
  std::filesystem::permissions(hsm_.directory() / "open", std::filesystem::perms::all);
  expect(hsm_.directory() / "open" / "s", "writable by everybody");
  expect(hsm_.directory() / "absent" / "s", "No such file");
  std::filesystem::permissions(hsm_.directory() / "open", std::filesystem::perms(0770));
  expect(hsm_.directory() / "open" / "s", "writable by its group, whose members could put something else there: chmod");
}

TEST_F(ServiceTest, EveryFolderAboveTheSocketMustBeTrusted) {
  using std::filesystem::perms;
  const auto top = hsm_.directory() / "top";
  const auto folder = top / "a" / "b";
  std::filesystem::create_directories(folder);
  for (const auto& each : {top, folder.parent_path(), folder}) {
    std::filesystem::permissions(each, perms(0755));
  }
  const auto why = [](const std::filesystem::path& path) {
    const auto trusted = CheckTrustedFolder(path);
    return trusted ? "" : trusted.error().message;
  };
  EXPECT_EQ(why(folder), "");
  EXPECT_EQ(why(top / "." / "a" / ".." / "a" / "b" / ""), "");
  EXPECT_EQ(why("/"), "");

  std::filesystem::permissions(top, perms(0775));
  EXPECT_NE(why(folder).find((top.string() + " is writable by its group")), std::string::npos);
  std::filesystem::permissions(top, perms(0757));
  EXPECT_NE(why(folder).find((top.string() + " is writable by everybody")), std::string::npos);
  // Like /tmp: others cannot exchange what is ours in it, but can make what is not there yet.
  std::filesystem::permissions(top, perms(01777));
  EXPECT_EQ(why(folder), "");
  EXPECT_NE(why(top).find("is writable by everybody"), std::string::npos);

  std::filesystem::create_symlink("top/a/../a", hsm_.directory() / "link");
  EXPECT_EQ(why(hsm_.directory() / "link" / "b"), "");
  std::filesystem::create_symlink("/tmp", hsm_.directory() / "away");
  EXPECT_NE(why(hsm_.directory() / "away").find("/tmp is writable by everybody"), std::string::npos);
  std::filesystem::create_symlink("round", hsm_.directory() / "round");
  EXPECT_NE(why(hsm_.directory() / "round").find("leads nowhere"), std::string::npos);
  EXPECT_NE(why(hsm_.Write("file", "")).find("is no folder"), std::string::npos);

  if (geteuid() == 0) {  // only root can give a file away
    constexpr uid_t kOther = 60001;
    std::filesystem::create_symlink(folder, top / "theirs");
    ASSERT_EQ(lchown((top / "theirs").c_str(), kOther, kOther), 0);
    EXPECT_NE(why(top / "theirs").find("theirs belongs to user 60001"), std::string::npos);
    std::filesystem::permissions(top, perms(0755));
    ASSERT_EQ(chown(top.c_str(), kOther, kOther), 0);
    EXPECT_NE(why(folder).find(top.string() + " belongs to user 60001"), std::string::npos);
    ASSERT_EQ(chown(top.c_str(), 0, 0), 0);
  }
}

// The real token, whose signatures wait until the latch is down.
v1::CreateAssertionsRequest Wanted(std::uint64_t tag, const std::string& client = "orders") {
  v1::CreateAssertionsRequest wanted;
  wanted.set_tag(tag);
  wanted.mutable_assertion()->set_client_id(client);
  return wanted;
}

// What a stream was answered, by tag.
struct Answers {
  std::map<std::uint64_t, v1::CreateAssertionsResponse> by_tag;
  std::size_t count = 0;
  grpc::Status status;

  int CodeOf(std::uint64_t tag) const { return by_tag.at(tag).error().code(); }
};

// One stream, whose requests are written by a thread of their own.
class Stream {
 public:
  Stream(v1::AssertionService::Stub& stub, std::vector<v1::CreateAssertionsRequest> requests, bool close = true)
      : stream_(stub.CreateAssertions(&context_)), writer_([this, close, requests = std::move(requests)] {
          if (std::ranges::all_of(requests, [this](const auto& one) { return stream_->Write(one); }) && close) {
            stream_->WritesDone();
          }
        }) {}

  grpc::ClientContext& context() { return context_; }

  // Waits for one answer; none: the stream has ended.
  std::optional<v1::CreateAssertionsResponse> Next() {
    v1::CreateAssertionsResponse one;
    return stream_->Read(&one) ? std::optional(std::move(one)) : std::nullopt;
  }

  bool HasAnswered() { return Next().has_value(); }

  // Reads to the end.
  Answers Finish() {
    Answers answers;
    for (v1::CreateAssertionsResponse one; stream_->Read(&one); ++answers.count) {
      answers.by_tag[one.tag()] = one;
    }
    writer_.join();
    answers.status = stream_->Finish();
    return answers;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::CreateAssertionsRequest, v1::CreateAssertionsResponse>> stream_;
  std::jthread writer_;
};

std::vector<v1::CreateAssertionsRequest> Many(std::size_t count) {
  std::vector<v1::CreateAssertionsRequest> requests;
  for (std::uint64_t tag = 0; tag < count; ++tag) {
    requests.push_back(Wanted(tag));
  }
  return requests;
}

TEST_F(ServiceTest, OnAStreamABadRequestFailsAlone) {
  GenerateOrdersKey();
  auto late = Wanted(4);
  late.mutable_timeout()->set_seconds(31);
  auto never = Wanted(5);
  never.mutable_timeout()->set_nanos(0);
  auto backwards = Wanted(6);
  backwards.mutable_timeout()->set_nanos(-1);
  v1::CreateAssertionsRequest nothing;
  nothing.set_tag(3);
  const auto answers =
      Stream(assertions_, {Wanted(1), Wanted(2, "nobody"), nothing, late, never, backwards, Wanted(1)}).Finish();
  EXPECT_TRUE(answers.status.ok()) << answers.status.error_message();
  EXPECT_EQ(answers.count, 7U) << "a tag may come again";
  EXPECT_TRUE(answers.by_tag.at(1).has_assertion());
  EXPECT_EQ(answers.CodeOf(2), StatusCode::NOT_FOUND);
  EXPECT_EQ(answers.by_tag.at(2).error().message(), "client_id: no client \"nobody\" is configured");
  for (const auto tag : {3, 4, 5, 6}) {
    EXPECT_EQ(answers.CodeOf(tag), StatusCode::INVALID_ARGUMENT) << tag;
  }
  EXPECT_EQ(Audited("CreateAssertion").size(), 7U);
}

TEST_F(ServiceTest, OnAStreamWhoMayNotIsRefusedEachTime) {
  GenerateOrdersKey();
  auto clients = Clients();
  clients.front().callers.clear();
  policy_.store(std::make_shared<const Policy>(clients, std::vector<Operator>(), SystemTime, RandomOctets));
  const auto answers = Stream(assertions_, {Wanted(1), Wanted(2, "keyless")}).Finish();
  EXPECT_EQ(answers.CodeOf(1), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(answers.CodeOf(2), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Audited("CreateAssertion").front()["caller"], "uid:" + std::to_string(geteuid()));
}

TEST_F(ServiceTest, AStreamOfWhatIsNoMessageEnds) {
  const auto status = CallRaw("/assertion.v1.AssertionService/CreateAssertions", "\xff\xff\xff");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
}

// A server of its own beside the other, where nothing may last.
class HurriedServiceTest : public ServiceTest {
 protected:
  std::unique_ptr<v1::AssertionService::Stub> Start(Limits limits) {
    const std::string path = hsm_.directory() / "hurried.sock";
    hurried_ = *Server::Start({.socket_path = path, .socket_group = {}, .tls = {}}, policy_, *hsms_,
                              Administered(hsm_.token()), audit_.get(), nullptr, limits);
    channel_ = grpc::CreateChannel("unix:" + path, grpc::experimental::LocalCredentials(UDS));
    return v1::AssertionService::NewStub(channel_);
  }

  std::unique_ptr<Server> hurried_;
};

TEST_F(HurriedServiceTest, AStreamWithoutAMessageEndsAtItsAge) {
  const auto stub = Start({.stream_age = std::chrono::milliseconds(100)});
  const auto answers = Stream(*stub, {}, false).Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(answers.status.error_message(), "a stream is read for 5 minutes: open another");
}

// A call of which only the headers are sent.
class HeadersAlone {
 public:
  HeadersAlone(const std::shared_ptr<grpc::Channel>& channel, const std::string& method) : stub_(channel) {
    call_ = stub_.PrepareCall(&context_, method, &queue_);
    call_->StartCall(nullptr);
    call_->Finish(&status_, &status_);
  }

  // How it ended.
  grpc::Status Finish() {
    void* tag = nullptr;
    bool ok = false;
    while (tag != &status_) {
      if (queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + std::chrono::seconds(30)) !=
          grpc::CompletionQueue::GOT_EVENT) {
        return {StatusCode::UNKNOWN, "it has not ended after 30 s"};
      }
    }
    return status_;
  }

 private:
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  grpc::Status status_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

TEST_F(HurriedServiceTest, AConnectionEndsAtItsAgeWhateverIsOpenOnIt) {
  const auto stub = Start({.connection_age = std::chrono::milliseconds(200),
                           .connection_grace = std::chrono::milliseconds(100),
                           .stream_age = std::chrono::hours(1),
                           .message_wait = std::chrono::hours(1)});
  HeadersAlone call(channel_, "/assertion.v1.AssertionService/CreateAssertion");
  const auto answers = Stream(*stub, {}, false).Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE) << answers.status.error_message();
  const auto status = call.Finish();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
}

TEST_F(HurriedServiceTest, ACallWhoseMessageDoesNotComeEnds) {
  GenerateOrdersKey();
  const auto stub = Start({.message_wait = std::chrono::milliseconds(200)});
  for (const char* method : {"AssertionService/CreateAssertion", "AssertionService/GetCertificate",
                             "AssertionService/GetJwks", "KeyAdminService/RotateKey", "KeyAdminService/GetKey",
                             "KeyAdminService/ApproveChange", "KeyAdminService/ProveKey"}) {
    HeadersAlone call(channel_, std::string("/assertion.v1.") + method);
    const auto status = call.Finish();
    EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED) << method << ": " << status.error_message();
  }
  Stream served(*stub, {Wanted(1)}, false);
  ASSERT_TRUE(served.HasAnswered());
  const auto answers = Stream(*stub, {}, false).Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE) << answers.status.error_message();
  // The connection goes on, and so does a stream on which a request has come.
  v1::CreateAssertionResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(stub->CreateAssertion(&context, request_, &response).ok());
  served.context().TryCancel();
  EXPECT_EQ(served.Finish().status.error_code(), StatusCode::CANCELLED);
}

TEST_F(HurriedServiceTest, AStopWaitsForNoMessage) {
  GenerateOrdersKey();
  const auto stub = Start({});
  HeadersAlone call(channel_, "/assertion.v1.AssertionService/CreateAssertion");
  v1::CreateAssertionResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->CreateAssertion(&context, request_, &response).ok());  // the headers before it have come
  hurried_->Stop(std::chrono::seconds(60));
  const auto status = call.Finish();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
}

TEST_F(HurriedServiceTest, AReloadThatListsACallerNoMoreEndsTheStreams) {
  const auto stub = Start({.refresh_interval = std::chrono::milliseconds(50)});
  Stream stream(*stub, {Wanted(1)}, false);
  ASSERT_TRUE(stream.HasAnswered());  // it was admitted
  auto clients = Clients();
  for (auto& client : clients) {
    client.callers = {"uid:4294967294"};
  }
  policy_.store(std::make_shared<const Policy>(clients, std::vector<Operator>(), SystemTime, RandomOctets));
  const auto answers = stream.Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE) << answers.status.error_message();
}

class HeldToken final : public WrappedToken {
 public:
  HeldToken(Token& real, std::latch& hold) : WrappedToken(real), hold_(hold) {}
  int signing() const { return signing_; }

  // So many signatures are made though the others are held.
  void LetPass(std::ptrdiff_t signatures) { passes_.release(signatures); }

  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    auto session = WrappedToken::OpenSigningSession();
    if (!session) {
      return session;
    }
    return std::make_unique<Session>(*this, std::move(*session));
  }

 private:
  class Session final : public SigningSession {
   public:
    Session(HeldToken& token, std::unique_ptr<SigningSession> real) : token_(token), real_(std::move(real)) {}
    Result<Bytes> Sign(const Bytes& key, const Algorithm& algorithm, std::string_view input) override {
      ++token_.signing_;
      while (!token_.hold_.try_wait() && !token_.passes_.try_acquire_for(std::chrono::milliseconds(1))) {
      }
      return real_->Sign(key, algorithm, input);
    }

   private:
    HeldToken& token_;
    std::unique_ptr<SigningSession> real_;
  };

  std::latch& hold_;
  std::counting_semaphore<> passes_{0};
  std::atomic<int> signing_ = 0;
};

// A server of its own, whose one worker is busy with a first call until Release.
class BusyServiceTest : public ServiceTest {
 protected:
  BusyServiceTest() {
    GenerateOrdersKey();
    first_ = CallLater();
    while (held_.signing() == 0) {
      std::this_thread::yield();
    }
  }

  ~BusyServiceTest() override { Release(); }

  grpc::Status Call(std::chrono::milliseconds limit = std::chrono::seconds(30)) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + limit);
    v1::CreateAssertionResponse response;
    return stub_.CreateAssertion(&context, request_, &response);
  }

  std::future<grpc::Status> CallLater() {
    return std::async(std::launch::async, [this] { return Call(); });
  }

  void Release() {
    if (!std::exchange(released_, true)) {
      hold_.count_down();
    }
  }

  bool released_ = false;
  std::latch hold_{1};
  HeldToken held_{hsm_.token(), hold_};
  SigningQueue short_queue_{held_, {.sessions = 1, .capacity = 1}};
  std::string path_ = hsm_.directory() / "busy.sock";
  std::unique_ptr<HsmGroup> busy_hsms_ = Of(short_queue_);
  std::unique_ptr<Server> busy_ = *Server::Start({.socket_path = path_, .socket_group = {}, .tls = {}}, policy_,
                                                 *busy_hsms_, Administered(hsm_.token()), audit_.get());
  v1::AssertionService::Stub stub_{grpc::CreateChannel("unix:" + path_, grpc::experimental::LocalCredentials(UDS))};
  std::future<grpc::Status> first_;
};

TEST_F(BusyServiceTest, AFullQueueRefusesAtOnce) {
  auto second = CallLater();
  while (short_queue_.Waiting() == 0) {
    std::this_thread::yield();
  }
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

TEST_F(BusyServiceTest, ARefusalDoesNotWaitForTheAuditLogAndIsInIt) {
  auto second = CallLater();
  while (short_queue_.Waiting() == 0) {
    std::this_thread::yield();
  }
  std::latch hold(1);
  audit_->Record({}, [&hold](const Status&) { hold.wait(); });  // the writing thread is busy now
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

TEST_F(BusyServiceTest, PastTheCallsDeadlineNothingIsSigned) {
  EXPECT_EQ(Call(std::chrono::milliseconds(300)).error_code(), StatusCode::DEADLINE_EXCEEDED);
  while (short_queue_.Waiting() != 0) {
    std::this_thread::yield();  // it leaves by itself, though the only worker is busy
  }
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_TRUE(Call().ok());  // by the same worker
  EXPECT_EQ(held_.signing(), 2);
}

TEST_F(BusyServiceTest, ACancelledCallLeavesTheQueue) {
  grpc::ClientContext context;
  auto cancelled = std::async(std::launch::async, [&] {
    v1::CreateAssertionResponse response;
    return stub_.CreateAssertion(&context, request_, &response);
  });
  while (short_queue_.Waiting() == 0) {
    std::this_thread::yield();
  }
  context.TryCancel();
  EXPECT_EQ(cancelled.get().error_code(), StatusCode::CANCELLED);
  while (short_queue_.Waiting() != 0) {
    std::this_thread::yield();
  }
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_EQ(held_.signing(), 1);
}

TEST_F(BusyServiceTest, OnAStreamEachHasItsOwnTimeAndItsOwnRefusal) {
  auto soon = Wanted(1);
  soon.mutable_timeout()->set_nanos(300'000'000);
  Stream stream(stub_, {soon, Wanted(2)});
  auto answers = std::async(std::launch::async, [&] { return stream.Finish(); });
  while (Audited("CreateAssertion").size() < 2) {  // the full line's refusal, and what came too late
    std::this_thread::yield();
  }
  Release();
  const auto found = answers.get();
  EXPECT_TRUE(found.status.ok());
  EXPECT_EQ(found.CodeOf(1), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(found.CodeOf(2), StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  ASSERT_EQ(found.by_tag.at(2).error().details_size(), 1);
  EXPECT_TRUE(found.by_tag.at(2).error().details(0).UnpackTo(&retry));
}

TEST_F(BusyServiceTest, ACancelledStreamLeavesTheQueue) {
  Stream stream(stub_, {Wanted(1)}, /*close=*/false);
  while (short_queue_.Waiting() == 0) {
    std::this_thread::yield();
  }
  stream.context().TryCancel();
  EXPECT_EQ(stream.Finish().status.error_code(), StatusCode::CANCELLED);
  while (short_queue_.Waiting() != 0) {
    std::this_thread::yield();
  }
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_EQ(held_.signing(), 1);
}

// A server of its own whose token signs when it is let go.
class HeldServiceTest : public ServiceTest {
 protected:
  HeldServiceTest() { GenerateOrdersKey(); }
  ~HeldServiceTest() override { LetGo(); }

  void LetGo() {
    if (!std::exchange(gone_, true)) {
      hold_.count_down();
    }
  }
  std::size_t taken() const { return queue_.Waiting() + static_cast<std::size_t>(held_.signing()); }

  bool gone_ = false;
  std::latch hold_{1};
  HeldToken held_{hsm_.token(), hold_};
  SigningQueue queue_{held_, {.sessions = 2, .capacity = 4096, .call_limit = std::chrono::seconds(60)}};
  std::unique_ptr<HsmGroup> held_hsms_ = Of(queue_);
  std::string path_ = hsm_.directory() / "held.sock";
  std::unique_ptr<Server> held_server_ = *Server::Start({.socket_path = path_, .socket_group = {}, .tls = {}}, policy_,
                                                        *held_hsms_, Administered(hsm_.token()), audit_.get());
  v1::AssertionService::Stub stub_{grpc::CreateChannel("unix:" + path_, grpc::experimental::LocalCredentials(UDS))};
};

TEST_F(HeldServiceTest, AStreamAnswersEveryRequestWithItsTag) {
  LetGo();
  constexpr std::size_t kCalls = 600;  // more than may be without an answer
  const auto answers = Stream(stub_, Many(kCalls)).Finish();
  EXPECT_TRUE(answers.status.ok()) << answers.status.error_message();
  EXPECT_EQ(answers.count, kCalls);
  ASSERT_EQ(answers.by_tag.size(), kCalls);
  std::set<std::string> jtis;
  const auto key = *keys_->SigningKeyOf("orders");
  for (const auto& [tag, answer] : answers.by_tag) {
    const auto parsed = jws::ParseCompact(answer.assertion().assertion());
    ASSERT_TRUE(parsed) << tag << ": " << answer.error().message();
    EXPECT_TRUE(key->verifier.Verify(parsed->signing_input, parsed->signature));
    EXPECT_EQ(parsed->claims["jti"], answer.assertion().jti());
    jtis.insert(answer.assertion().jti());
  }
  EXPECT_EQ(jtis.size(), kCalls);
  EXPECT_EQ(Audited("CreateAssertion").size(), kCalls);
}

TEST_F(HeldServiceTest, OfAStreamNoMoreIsReadThanMayBeWithoutAnAnswer) {
  constexpr std::size_t kMost = 256;
  Stream stream(stub_, Many(2 * kMost));
  auto answers = std::async(std::launch::async, [&] { return stream.Finish(); });
  while (taken() < kMost) {
    std::this_thread::yield();
  }
  for (int i = 0; i < 50; ++i) {  // calls of others are served, and take time in which more would be read
    grpc::ClientContext context;
    v1::GetJwksRequest request;
    request.set_client_id("orders");
    v1::GetJwksResponse response;
    EXPECT_TRUE(stub_.GetJwks(&context, request, &response).ok());
  }
  EXPECT_EQ(taken(), kMost);
  LetGo();
  const auto found = answers.get();
  EXPECT_TRUE(found.status.ok());
  EXPECT_EQ(found.by_tag.size(), 2 * kMost);
}

// The last answer is looked for in the audit log: gRPC's client may drop what it has not read when an error ends the
// stream.
TEST_F(HeldServiceTest, StopEndsStreamsAfterTheirAnswers) {
  constexpr std::size_t kTaken = 40;
  Stream stream(stub_, Many(kTaken), /*close=*/false);
  Stream idle(stub_, {}, /*close=*/false);
  while (taken() < kTaken) {
    std::this_thread::yield();
  }
  std::jthread stopping([&] { held_server_->Stop(std::chrono::seconds(30)); });
  EXPECT_EQ(idle.Finish().status.error_code(), StatusCode::UNAVAILABLE);
  held_.LetPass(kTaken - 1);
  std::set<std::uint64_t> tags;
  while (tags.size() < kTaken - 1) {
    const auto answer = stream.Next();
    ASSERT_TRUE(answer) << "the stream ended after " << tags.size();
    EXPECT_TRUE(answer->has_assertion());
    tags.insert(answer->tag());
  }
  LetGo();
  EXPECT_EQ(stream.Finish().status.error_code(), StatusCode::UNAVAILABLE);
  const auto audited = Audited("CreateAssertion");
  EXPECT_EQ(audited.size(), kTaken);
  EXPECT_TRUE(std::ranges::all_of(audited, [](const auto& line) { return line["outcome"] == "OK"; }));
}

TEST_F(ServiceTest, StopAnswersEveryCallThatWasAccepted) {
  GenerateOrdersKey();
  std::latch hold(1);
  HeldToken held(hsm_.token(), hold);
  SigningQueue queue(held, {.sessions = 2, .capacity = 64});
  const std::string path = hsm_.directory() / "stopping.sock";
  const auto hsms = Of(queue);
  const auto server = *Server::Start({.socket_path = path, .socket_group = {}, .tls = {}}, policy_, *hsms,
                                     Administered(hsm_.token()), audit_.get());
  v1::AssertionService::Stub stub(grpc::CreateChannel("unix:" + path, grpc::experimental::LocalCredentials(UDS)));

  constexpr std::size_t kCalls = 40;
  std::vector<std::future<grpc::Status>> results;
  for (std::size_t i = 0; i < kCalls; ++i) {
    results.push_back(std::async(std::launch::async, [&] {
      grpc::ClientContext context;
      v1::CreateAssertionResponse response;
      return stub.CreateAssertion(&context, request_, &response);
    }));
  }
  while (queue.Waiting() + static_cast<std::size_t>(held.signing()) < kCalls) {
    std::this_thread::yield();
  }
  std::jthread stopping([&] { server->Stop(std::chrono::seconds(30)); });
  hold.count_down();
  for (auto& result : results) {
    const auto status = result.get();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  stopping.join();
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Of gRPC's threads that wait for calls, how many there are and how many sleep.
std::pair<int, int> WaitingThreads() {
  std::pair<int, int> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    long call = -1;
    std::ifstream(task.path() / "comm") >> name;
    std::ifstream(task.path() / "syscall") >> call;
    if (name.starts_with("nexting_thread")) {
      ++found.first;
      found.second += call == SYS_clock_nanosleep || call == SYS_nanosleep ? 1 : 0;
    }
  }
  return found;
}

TEST_F(HeldServiceTest, WhatAKeySignsThatIsRevokedMeanwhileIsNotReleased) {
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
  while (taken() < calls.size()) {
    std::this_thread::yield();
  }
  grpc::ClientContext context;
  v1::RevokeKeyRequest request;
  request.set_client_id("orders");
  request.set_kid(keys_->Snapshot()->at("orders").keys.front().record.kid);
  request.mutable_change()->set_expected_version(1);
  request.mutable_change()->set_force_client_id("orders");
  v1::RevokeKeyResponse revoked;
  const auto status = key_admin_.RevokeKey(&context, request, &revoked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  LetGo();
  for (auto& later : calls) {
    const auto [refused, response] = later.get();
    EXPECT_EQ(refused.error_code(), StatusCode::UNAVAILABLE);
    EXPECT_EQ(refused.error_message(), "the key was revoked while this call waited; try again");
    EXPECT_EQ(response.assertion(), "");
  }
}

TEST_F(ServiceTest, OnlyAKeyThatDoesNotSignYetIsProven) {
  GenerateOrdersKey();
  const auto prove = [this](const std::string& kid) {
    grpc::ClientContext context;
    v1::ProveKeyRequest request;
    request.set_client_id("orders");
    request.set_kid(kid);
    v1::ProveKeyResponse response;
    return key_admin_.ProveKey(&context, request, &response);
  };
  const auto signing = keys_->Snapshot()->at("orders").keys.front().record.kid;
  EXPECT_EQ(prove(signing).error_code(), StatusCode::FAILED_PRECONDITION);
  grpc::ClientContext context;
  v1::RotateKeyRequest request;
  request.set_client_id("orders");
  request.mutable_change()->set_expected_version(1);
  v1::RotateKeyResponse rotated;
  const auto status = key_admin_.RotateKey(&context, request, &rotated);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(rotated.key().state(), v1::KEY_STATE_PUBLISHED);
  EXPECT_TRUE(prove(rotated.key().kid()).ok());
}

TEST(WorkerTest, OneCallerLeavesThePlacesOfOthers) {
  std::latch hold{1};
  std::atomic<int> done = 0;
  Worker worker;
  std::latch busy{1};
  ASSERT_TRUE(worker.Post("mallory", [&] {
    busy.count_down();
    hold.wait();
  }));
  busy.wait();
  for (std::size_t i = 0; i < Worker::kMostOfOne; ++i) {
    EXPECT_TRUE(worker.Post("mallory", [&] { ++done; }));
  }
  const auto refused = worker.Post("mallory", [&] { ++done; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_GT(refused.error().retry_delay.count(), 0);
  EXPECT_TRUE(worker.Post("anna", [&] { ++done; }));
  hold.count_down();
  while (done < static_cast<int>(Worker::kMostOfOne) + 1) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(worker.Post("mallory", [&] { ++done; }));
}

// What looks at the token waits until it is let go; changes do not come this way.
class HeldReads final : public WrappedToken {
 public:
  HeldReads(Token& real, std::latch& hold) : WrappedToken(real), hold_(hold) {}
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels) override {
    hold_.wait();
    return WrappedToken::Read(labels);
  }
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override {
    hold_.wait();
    return WrappedToken::FindData(application, label);
  }

 private:
  std::latch& hold_;
};

// A server of its own, to whose administration one person sends more than it takes.
class FloodedServiceTest : public ServiceTest {
 protected:
  FloodedServiceTest() {
    GenerateOrdersKey();
    kid_ = keys_->Snapshot()->at("orders").keys.front().record.kid;
    policy_.store(std::make_shared<const Policy>(Clients(),
                                                 std::vector<Operator>{{.caller = "uid:" + std::to_string(geteuid()),
                                                                        .roles = {Role::kOperator, Role::kApprover}}},
                                                 SystemTime, RandomOctets));
  }

  ~FloodedServiceTest() override { LetGo(); }

  void LetGo() {
    if (!std::exchange(gone_, true)) {
      hold_.count_down();
    }
  }

  // Calls until one runs and no other finds a place: then so many are refused.
  template <typename Call>
  void Flood(Call call) {
    static constexpr std::size_t kRefused = 3;
    static constexpr std::size_t kCalls = 1 + Worker::kMostOfOne + kRefused;
    for (std::size_t i = 0; i < kCalls; ++i) {
      calls_.push_back(std::async(std::launch::async, [call] {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
        return call(&context).error_code();
      }));
    }
    const auto refused = [this] {
      return std::ranges::count_if(
          calls_, [](const auto& one) { return one.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    };
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (refused() < static_cast<std::ptrdiff_t>(kRefused)) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      std::this_thread::yield();
    }
  }

  void ExpectBrakeAndChange() {
    grpc::ClientContext brake;
    brake.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::RevokeKeyRequest revocation;
    revocation.set_client_id("orders");
    revocation.set_kid(kid_);
    revocation.mutable_change()->set_expected_version(1);
    revocation.mutable_change()->set_force_client_id("orders");
    v1::RevokeKeyResponse revoked;
    const auto braked = flooded_admin_.RevokeKey(&brake, revocation, &revoked);
    EXPECT_TRUE(braked.ok()) << braked.error_message();

    grpc::ClientContext change;
    change.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::GenerateKeyRequest wanted;
    wanted.set_client_id("keyless");
    wanted.mutable_change()->set_expected_version(0);
    v1::GenerateKeyResponse generated;
    const auto changed = flooded_admin_.GenerateKey(&change, wanted, &generated);
    EXPECT_TRUE(changed.ok()) << changed.error_message();
  }

  // Once let go, those that had a place are answered so, and the others were told to come again.
  void ExpectAnswers(StatusCode code) {
    LetGo();
    for (auto& one : calls_) {
      const auto answer = one.get();
      EXPECT_TRUE(answer == code || answer == StatusCode::RESOURCE_EXHAUSTED) << answer;
    }
  }

  bool gone_ = false;
  std::latch hold_{1};
  HeldReads held_{hsm_.token(), hold_};
  std::string kid_;
  std::unique_ptr<HsmGroup> flooded_hsms_ = [this] {
    auto hsms = std::make_unique<HsmGroup>();
    hsms->Add(0, {.name = "test", .token = held_, .keys = *keys_, .queue = *queue_});
    return hsms;
  }();
  std::string path_ = hsm_.directory() / "flooded.sock";
  std::unique_ptr<Server> flooded_ = *Server::Start({.socket_path = path_, .socket_group = {}, .tls = {}}, policy_,
                                                    *flooded_hsms_, Administered(held_), audit_.get());
  v1::KeyAdminService::Stub flooded_admin_{
      grpc::CreateChannel("unix:" + path_, grpc::experimental::LocalCredentials(UDS))};
  std::vector<std::future<StatusCode>> calls_;
};

TEST_F(FloodedServiceTest, ApprovalsOfNothingKeepNeitherTheBrakeNorAChangeWaiting) {
  Flood([this](grpc::ClientContext* context) {
    v1::ApproveChangeRequest request;
    request.set_id("none");
    v1::ApproveChangeResponse response;
    return flooded_admin_.ApproveChange(context, request, &response);
  });
  ExpectBrakeAndChange();
  ExpectAnswers(StatusCode::NOT_FOUND);
}

TEST_F(FloodedServiceTest, WithdrawalsOfNothingKeepNeitherTheBrakeNorAChangeWaiting) {
  Flood([this](grpc::ClientContext* context) {
    v1::WithdrawChangeRequest request;
    request.set_id("none");
    v1::WithdrawChangeResponse response;
    return flooded_admin_.WithdrawChange(context, request, &response);
  });
  ExpectBrakeAndChange();
  ExpectAnswers(StatusCode::NOT_FOUND);
}

TEST_F(FloodedServiceTest, EvidenceKeepsNeitherTheBrakeNorAChangeWaiting) {
  Flood([this](grpc::ClientContext* context) {
    v1::CreateEvidenceRequest request;
    request.set_client_id("orders");
    request.set_kid(kid_);
    v1::CreateEvidenceResponse response;
    return flooded_admin_.CreateEvidence(context, request, &response);
  });
  ExpectBrakeAndChange();
  ExpectAnswers(StatusCode::OK);
}

// They would all sleep from 1 s to 1.1 s after the last call, and a call that comes then would wait.
TEST_F(ServiceTest, NobodyWaitsBecauseNobodyCalled) {
  const auto begun = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (WaitingThreads().first < 2) {
    ASSERT_LT(std::chrono::steady_clock::now(), begun) << "gRPC names its threads otherwise now";
    std::this_thread::yield();
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(2500);
  while (std::chrono::steady_clock::now() < end) {
    const auto [threads, asleep] = WaitingThreads();
    ASSERT_LT(asleep, threads);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace
}  // namespace assertion::service
