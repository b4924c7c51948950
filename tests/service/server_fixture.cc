#include "server_fixture.h"

#include <grpcpp/generic/generic_stub.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <utility>

#include "assertion/clock.h"
#include "audit/verification.h"
#include "x509/openssl.h"

namespace assertion::service {

using x509::RandomOctets;

ServerFixture::ServerFixture()
    : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
      ledger_(*TokenLedger::Open(hsm_.token(), "test", SystemTime, RandomOctets)),
      keys_(*KeyRing::Load(hsm_.token(), *ledger_, Clients(), SystemTime, RandomOctets)),
      custodian_(hsm_.token(), *ledger_, *certifier_, *keys_, RandomOctets),
      policy_(std::make_shared<const Policy>(
          Clients(), std::vector<Operator>{{.caller = OwnIdentity(), .roles = {Role::kOperator}}}, SystemTime,
          RandomOctets)),
      queue_(std::make_unique<SigningQueue>(hsm_.token(), SigningQueue::Options{.sessions = 2, .capacity = 64})),
      audit_key_(JwsKey::FindOrGenerate(hsm_.token(), kAuditKeyLabel, audit::kCheckpointType, RandomOctets)->front()),
      audit_(*audit::Log::Open(
          {.path = audit_path()},
          {{.kid = audit_key_.kid(), .sign = audit_key_.SignThrough(*queue_), .jwk = audit_key_.Jwk()}},
          *audit::ToPublicKeys(audit_key_.public_key()), {})),
      hsms_(GroupOf(*queue_)),
      server_(*StartServer(socket(), *hsms_)),
      channel_(ChannelTo(socket())),
      assertions_(channel_),
      key_admin_(channel_) {
  request_.set_client_id("orders");
}

std::string ServerFixture::OwnIdentity() { return "uid:" + std::to_string(geteuid()); }

std::vector<Client> ServerFixture::Clients() {
  Client orders;
  orders.client_id = "orders";
  orders.audiences = {kAudience, "https://localhost:9443/oauth2/par"};
  orders.extra_claims = {"tenant"};
  orders.callers = {OwnIdentity()};
  Client keyless = orders;
  keyless.client_id = "keyless";
  return {orders, keyless};
}

void ServerFixture::SetPolicy(std::vector<Client> clients, std::vector<Operator> operators) {
  policy_.store(std::make_shared<const Policy>(std::move(clients), std::move(operators), SystemTime, RandomOctets));
}

Result<std::unique_ptr<Server>> ServerFixture::StartServer(const std::string& path, HsmGroup& hsms,
                                                           const Limits& limits) {
  return Server::Start({.socket_path = path, .socket_group = {}, .tls = {}}, policy_, hsms, Administered(hsm_.token()),
                       audit_.get(), nullptr, limits);
}

std::unique_ptr<HsmGroup> ServerFixture::GroupOf(SigningQueue& queue) {
  auto hsms = std::make_unique<HsmGroup>();
  hsms->Add(0, {.name = "test", .token = hsm_.token(), .keys = *keys_, .queue = queue});
  return hsms;
}

AdministeredHsms ServerFixture::Administered(Token& token) {
  return [this, &token] {
    return std::vector<AdministeredHsm>{{.name = "test", .token = token, .keys = *keys_, .custodian = custodian_}};
  };
}

std::shared_ptr<grpc::Channel> ServerFixture::ChannelTo(const std::string& path) {
  return grpc::CreateChannel("unix:" + path, grpc::experimental::LocalCredentials(UDS));
}

std::vector<nlohmann::json> ServerFixture::Audited(const std::string& event) const {
  std::vector<nlohmann::json> lines;
  std::ifstream file(audit_path());
  for (std::string text; std::getline(file, text);) {
    if (auto line = nlohmann::json::parse(text); line["event"] == event) {
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

void ServerFixture::GenerateOrdersKey() {
  ASSERT_TRUE(custodian_.Generate(
      {.client_id = "orders", .expected_version = 0, .request_id = {}, .digest = {}, .forced = false},
      {.bits = 2048, .common_name = "orders", .certificate_validity = std::chrono::days(30)}));
}

grpc::Status ServerFixture::Create() {
  grpc::ClientContext context;
  return assertions_.CreateAssertion(&context, request_, &response_);
}

void ServerFixture::ExpectRefused(StatusCode code, const std::string& message) {
  const auto status = Create();
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  EXPECT_EQ(status.error_message(), message);
  for (const std::string& secret :
       {std::string(SoftHsm::kPin), std::string(SOFTHSM2_MODULE), hsm_.directory().string(), std::string("C_")}) {
    EXPECT_EQ(status.error_message().find(secret), std::string::npos) << status.error_message();
  }
}

grpc::Status ServerFixture::CallRaw(const std::string& method, const std::string& octets, std::string* answer) {
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

std::unique_ptr<v1::AssertionService::Stub> LimitedServerFixture::Start(const Limits& limits) {
  limited_ = *StartServer(PathOf("limited.sock"), *hsms_, limits);
  channel_ = ChannelTo(PathOf("limited.sock"));
  return v1::AssertionService::NewStub(channel_);
}

}  // namespace assertion::service
