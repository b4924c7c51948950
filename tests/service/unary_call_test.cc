// Rules for all unary methods: authorised callers, audit lines, parsing of messages.

#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "assertion/v1/access_token.grpc.pb.h"
#include "client_stream.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "partial_call.h"
#include "server_fixture.h"

namespace assertion::service {
namespace {

class UnaryCallTest : public ServerFixture {};
class LimitedUnaryCallTest : public LimitedServerFixture {};

// Calls each method with this process in each place of the policy.
TEST_F(UnaryCallTest, EveryMethodChecksItsCaller) {
  GenerateOrdersKey();
  const auto me = OwnIdentity();
  enum Place { kNowhere, kClient, kViewer, kOperator, kApprover, kPlaces };
  const auto put_me = [&](Place place) {
    auto clients = Clients();
    clients.front().callers.clear();
    clients.front().purposes = {Purpose::kClientAssertion, Purpose::kDpop, Purpose::kRequestObject};
    std::vector<Operator> operators;
    if (place == kClient) {
      clients.front().callers = {me};
    } else if (place != kNowhere) {
      operators = {{.caller = me,
                    .roles = {place == kViewer     ? Role::kViewer
                              : place == kOperator ? Role::kOperator
                                                   : Role::kApprover}}};
    }
    SetPolicy(clients, operators);
  };
  v1::GetKeyRequest named;
  named.set_client_id("orders");
  const auto octets = named.SerializeAsString();  // client_id is field 1 of every request
  const std::map<std::string, std::set<Place>> allowed = {
      {"AccessTokenService/GetAccessToken", {kClient}},
      {"AssertionService/CreateAssertion", {kClient}},
      {"AssertionService/CreateDpopProof", {kClient}},
      {"AssertionService/CreateRequestObject", {kClient}},
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
      {"KeyAdminService/ExamineKey", {kOperator}},
      {"KeyAdminService/AdoptKey", {kOperator}},
      {"KeyAdminService/ImportKey", {kOperator}},
      {"KeyAdminService/ProveKey", {kOperator}}};
  std::size_t methods = 0;
  for (const auto* service : {v1::AccessTokenService::service_full_name(), v1::AssertionService::service_full_name(),
                              v1::KeyAdminService::service_full_name()}) {
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
  // Reads are not audited. Every other call is, with caller and outcome.
  for (const auto& [method, places] : allowed) {
    const auto lines = Audited(method.substr(method.find('/') + 1));
    const bool reads = (method.find("/Get") != std::string::npos || method.find("/List") != std::string::npos) &&
                       !method.ends_with("GetAccessToken");
    ASSERT_EQ(lines.size(), reads ? 0U : static_cast<std::size_t>(kPlaces)) << method;
    for (int place = kNowhere; !reads && place != kPlaces; ++place) {
      const auto& line = lines[static_cast<std::size_t>(place)];
      EXPECT_EQ(line["caller"], me);
      EXPECT_EQ(line["outcome"] != "PERMISSION_DENIED", places.contains(static_cast<Place>(place))) << line;
    }
  }
}

// A refusal of Envoy's check is an answer, but a peer that the configuration does not name gets none.
TEST_F(UnaryCallTest, CheckAnswersConfiguredCallersAlone) {
  const std::string method = "/envoy.service.auth.v3.Authorization/Check";
  envoy::service::auth::v3::CheckRequest check;
  (*check.mutable_attributes()->mutable_context_extensions())["client_id"] = "orders";
  const auto denied_with = [&](const std::string& octets) {
    std::string answer;
    envoy::service::auth::v3::CheckResponse response;
    const auto status = CallRaw(method, octets, &answer);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(response.ParseFromString(answer) && response.has_denied_response()) << response.DebugString();
    EXPECT_EQ(response.denied_response().status().code(), envoy::type::v3::Forbidden);
    return static_cast<StatusCode>(response.status().code());
  };
  EXPECT_EQ(denied_with(check.SerializeAsString()), StatusCode::FAILED_PRECONDITION) << "the client has no tokens";
  for (const std::string octets : {"\xff\xff\xff", "", "\x0a\x07\x52\x05\x0a\x01\xff\x12\x00"}) {
    EXPECT_EQ(denied_with(octets), StatusCode::INVALID_ARGUMENT);
  }
  auto clients = Clients();
  for (auto& client : clients) {
    client.callers.clear();
  }
  SetPolicy(clients, {{.caller = OwnIdentity(), .roles = {Role::kOperator}}});
  EXPECT_EQ(denied_with(check.SerializeAsString()), StatusCode::PERMISSION_DENIED) << "known, but not for the client";
  SetPolicy(clients);
  for (const std::string& octets : {check.SerializeAsString(), std::string("\xff")}) {
    const auto status = CallRaw(method, octets);
    EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << status.error_message();
  }
  EXPECT_EQ(Audited("GetAccessToken").size(), 7U);
}

TEST_F(UnaryCallTest, NothingIsDoneWhileTheAuditLogCannotBeWritten) {
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

TEST_F(UnaryCallTest, InvalidUtf8NamesItsField) {
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

// Protobuf's complaints about strings go to the log, limited to a few lines a second.
TEST_F(UnaryCallTest, RepeatedInvalidUtf8WritesFewLogLines) {
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

// Otherwise an unlisted caller could spend the server's time and fill its log with costly messages.
TEST_F(UnaryCallTest, TheMessageOfAnUnlistedCallerIsNotParsed) {
  auto clients = Clients();
  for (auto& client : clients) {
    client.callers.clear();
  }
  SetPolicy(clients);
  for (const auto* method : {"AssertionService/CreateAssertion", "AssertionService/GetCertificate",
                             "AssertionService/GetJwks", "KeyAdminService/GenerateKey", "KeyAdminService/ListKeys"}) {
    for (const std::string octets : {"\x0a\x01\xff", "\xff\xff\xff", ""}) {
      const auto status = CallRaw(std::string("/assertion.v1.") + method, octets);
      EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << method << ": " << status.error_message();
    }
  }
}

TEST_F(UnaryCallTest, AnInvalidMessageIsRefused) {
  for (const auto* method : {"/assertion.v1.AssertionService/CreateAssertion",
                             "/assertion.v1.AssertionService/GetCertificate", "/assertion.v1.AssertionService/GetJwks",
                             "/assertion.v1.KeyAdminService/GenerateKey", "/assertion.v1.KeyAdminService/ListKeys"}) {
    const auto status = CallRaw(method, "\xff\xff\xff");
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_NE(status.error_message().find("is not a assertion.v1."), std::string::npos) << status.error_message();
  }
}

TEST_F(UnaryCallTest, ARequestOver64KiBIsRefused) {
  request_.set_audience(std::string(65536, 'a'));
  EXPECT_EQ(Create().error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

// gRPC answers it before the handler does; the line has the true caller and reason.
TEST_F(UnaryCallTest, AMessageThatGrpcRefusesHasItsCallerInTheLine) {
  for (const auto* method :
       {"/assertion.v1.AccessTokenService/GetAccessToken", "/envoy.service.auth.v3.Authorization/Check"}) {
    const auto before = Audited("GetAccessToken").size();
    const auto status = CallRaw(method, std::string(300'000, '\x0a'));
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
    while (Audited("GetAccessToken").size() == before) {
      std::this_thread::yield();
    }
    const auto line = Audited("GetAccessToken").back();
    EXPECT_EQ(line.value("caller", ""), OwnIdentity()) << line;
    EXPECT_EQ(line["outcome"], "RESOURCE_EXHAUSTED") << line;
    EXPECT_EQ(line["reason"], "the message is larger than 256 KiB") << line;
  }
}

TEST_F(LimitedUnaryCallTest, ACallWithoutAMessageEndsAfterTheWait) {
  GenerateOrdersKey();
  const auto stub = Start({.message_wait = std::chrono::milliseconds(1000)});
  for (const char* method : {"AssertionService/CreateAssertion", "AssertionService/GetCertificate",
                             "AssertionService/GetJwks", "KeyAdminService/RotateKey", "KeyAdminService/GetKey",
                             "KeyAdminService/ApproveChange", "KeyAdminService/ProveKey"}) {
    PartialCall call(channel_, std::string("/assertion.v1.") + method);
    const auto status = call.Finish();
    EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED) << method << ": " << status.error_message();
  }
  ClientStream served(*stub, {RequestWithTag(1)}, false);
  ASSERT_TRUE(served.Next());
  const auto answers = ClientStream(*stub, {}, false).Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE) << answers.status.error_message();
  // The connection stays open, and so does a stream that has received a request.
  v1::CreateAssertionResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(stub->CreateAssertion(&context, request_, &response).ok());
  served.context().TryCancel();
  EXPECT_EQ(served.Finish().status.error_code(), StatusCode::CANCELLED);
}

TEST_F(LimitedUnaryCallTest, StopDoesNotWaitForMessages) {
  GenerateOrdersKey();
  const auto stub = Start({});
  PartialCall call(channel_, "/assertion.v1.AssertionService/CreateAssertion");
  v1::CreateAssertionResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->CreateAssertion(&context, request_, &response).ok());  // so the headers of `call` have arrived
  limited_->Stop(std::chrono::seconds(60));
  const auto status = call.Finish();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
}

}  // namespace
}  // namespace assertion::service
