// KeyAdminService over a Unix socket, with SoftHSM2.

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "jws/compact.h"
#include "made_private_key.h"
#include "server_fixture.h"
#include "service/worker.h"
#include "wrapped_token.h"
#include "x509/openssl.h"

namespace assertion::service {
namespace {

class KeyAdminServiceTest : public ServerFixture {};

TEST_F(KeyAdminServiceTest, GenerateAndListKeys) {
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

  // expected_version is 0 again, and out of date by then.
  v1::GenerateKeyResponse second;
  grpc::ClientContext second_context;
  EXPECT_EQ(key_admin_.GenerateKey(&second_context, request, &second).error_code(), StatusCode::ABORTED);
}

TEST_F(KeyAdminServiceTest, GenerateAndRotateUseTheRequestedAlgorithms) {
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

TEST_F(KeyAdminServiceTest, AKeyIsExaminedAndAdopted) {
  ASSERT_TRUE(hsm_.token().GenerateKeyPair(
      {.label = "vendor\x1b\xff", .id = {0x0A}, .algorithm = kAlgorithms.data(), .bits = 2048}));
  v1::ExamineKeyRequest examine;
  examine.set_client_id("orders");
  examine.set_cka_id("\x0A");
  v1::ExamineKeyResponse examined;
  grpc::ClientContext context;
  const auto status = key_admin_.ExamineKey(&context, examine, &examined);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(examined.label(), R"(vendor\x1b\xff)");
  EXPECT_EQ(examined.key_bits(), 2048);
  EXPECT_EQ(examined.obstacles_size(), 0);
  EXPECT_EQ(examined.attributes(0).name(), "CKA_SENSITIVE");
  EXPECT_TRUE(examined.attributes(0).value());

  v1::AdoptKeyRequest adopt;
  adopt.set_client_id("orders");
  adopt.set_cka_id("\x0A");
  adopt.set_kid(examined.kid());
  adopt.set_common_name("Orders");
  adopt.mutable_change()->set_expected_version(0);
  adopt.mutable_change()->set_request_id("once");
  for (int turn = 0; turn < 2; ++turn) {  // a repetition does not act twice
    v1::AdoptKeyResponse adopted;
    grpc::ClientContext adopt_context;
    const auto answer = key_admin_.AdoptKey(&adopt_context, adopt, &adopted);
    ASSERT_TRUE(answer.ok()) << answer.error_message();
    EXPECT_EQ(adopted.key().kid(), examined.kid());
    EXPECT_EQ(adopted.key().origin(), v1::KEY_ORIGIN_ADOPTED);
    EXPECT_EQ(adopted.key().state(), v1::KEY_STATE_SIGNING);
    EXPECT_EQ(adopted.key().version(), 1);
  }
  EXPECT_TRUE(Create().ok());
}

TEST_F(KeyAdminServiceTest, AKeyIsImportedWhereTheConfigurationAllowsItAndItsAuditLinesSaySo) {
  const auto key = MadePrivateKey("P-256").Pkcs8();
  v1::ImportKeyRequest request;
  request.set_client_id("orders");
  request.set_private_key(key.view().data(), key.size());
  request.set_algorithm("ES256");
  request.mutable_change()->set_expected_version(0);
  request.mutable_change()->set_request_id("once");
  v1::ImportKeyResponse response;
  const auto import = [&] {
    grpc::ClientContext context;
    return key_admin_.ImportKey(&context, request, &response);
  };
  const auto refused = [&](StatusCode code, const std::string& part) {
    const auto status = import();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_TRUE(status.error_message().contains(part)) << status.error_message();
  };
  refused(StatusCode::FAILED_PRECONDITION, "imported_keys is not true there");
  auto clients = Clients();
  for (auto& client : clients) {
    client.imported_keys = true;
  }
  SetPolicy(clients, {{.caller = OwnIdentity(), .roles = {Role::kOperator}}});
  for (int turn = 0; turn < 2; ++turn) {  // a repetition does not act twice
    const auto status = import();
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.key().origin(), v1::KEY_ORIGIN_IMPORTED);
    EXPECT_EQ(response.key().state(), v1::KEY_STATE_SIGNING);
    EXPECT_EQ(response.key().version(), 1);
  }
  EXPECT_TRUE(Create().ok());
  for (const char* event : {"ImportKey", "CreateAssertion"}) {
    const auto line = Audited(event).back();
    EXPECT_EQ(line["origin"], "imported, born outside") << line;
    EXPECT_EQ(line["kid"], response.key().kid());
  }
  const auto other = MadePrivateKey("P-256").Pkcs8();
  request.set_private_key(other.view().data(), other.size());
  refused(StatusCode::INVALID_ARGUMENT, "request_id: was used for another request");
  request.mutable_change()->set_request_id("twice");
  request.set_algorithm("ES384");
  refused(StatusCode::INVALID_ARGUMENT, "private_key: it is a key for ES256, not for ES384: name its algorithm");
  request.clear_algorithm();  // the client's
  refused(StatusCode::INVALID_ARGUMENT, "private_key: it is a key for ES256, not for RS256");
  const auto small = MadePrivateKey(1024).Pkcs8();
  request.set_private_key(small.view().data(), small.size());
  refused(StatusCode::INVALID_ARGUMENT, "private_key: it has 1024 bits, not 2048, 3072 or 4096");
  request.set_private_key("garbage");
  refused(StatusCode::INVALID_ARGUMENT, "private_key: it is not PKCS#8 in DER, or is encrypted");
}

TEST_F(KeyAdminServiceTest, AdoptKeyRefusesValuesOutOfRange) {
  const auto expect = [&](const std::function<void(v1::AdoptKeyRequest&)>& change, const std::string& field) {
    v1::AdoptKeyRequest request;
    request.set_client_id("orders");
    request.set_cka_id("\x0A");
    request.set_kid("kid");
    request.mutable_change()->set_expected_version(0);
    change(request);
    v1::AdoptKeyResponse response;
    grpc::ClientContext context;
    const auto status = key_admin_.AdoptKey(&context, request, &response);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_TRUE(status.error_message().starts_with(field)) << status.error_message();
  };
  expect([](auto& r) { r.clear_cka_id(); }, "cka_id: must have 1 to 32 octets");
  expect([](auto& r) { r.set_cka_id(std::string(33, 'a')); }, "cka_id: must have 1 to 32 octets");
  expect([](auto& r) { r.clear_kid(); }, "kid:");
  expect([](auto& r) { r.set_algorithm("HS256"); }, "algorithm:");
  expect([](auto& r) { r.mutable_certificate_validity()->set_seconds(1); }, "certificate_validity:");
  expect(
      [](auto& r) {
        r.set_certificates("PEM");
        r.set_common_name("Orders");
      },
      "certificates: must not be given together with common_name");
  expect([](auto& r) { r.mutable_change()->clear_expected_version(); }, "change.expected_version:");
}

TEST_F(KeyAdminServiceTest, GenerateKeyRefusesValuesOutOfRange) {
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
      StatusCode::INVALID_ARGUMENT, "key_bits: must be left out, because every key for ES256 has 256 bits");
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
  // A second person reads it before approving, and whoever investigates finds it in the audit log.
  for (const auto* hidden : {"a\x1b[2J", "a\u202e", "a b", "a\n"}) {
    expect([&](auto& r) { r.mutable_change()->set_request_id(hidden); }, StatusCode::INVALID_ARGUMENT,
           "change.request_id: must be visible ASCII, not \"a");
  }
  expect([](auto& r) { r.mutable_change()->set_force_client_id("keyless"); }, StatusCode::INVALID_ARGUMENT,
         "change.force_client_id:");
  EXPECT_TRUE(hsm_.token().Read({"orders"})->keys.empty());
}

class PendingChangeServiceTest : public KeyAdminServiceTest {
 protected:
  PendingChangeServiceTest() {
    auto log = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_));
    log->set_pattern("%l %v");
    spdlog::set_default_logger(std::move(log));
  }
  ~PendingChangeServiceTest() override { spdlog::set_default_logger(before_); }

  void SetRoles(std::vector<Role> roles, std::chrono::seconds window) {
    policy_.store(std::make_shared<const Policy>(
        Clients(), std::vector<Operator>{{.caller = OwnIdentity(), .roles = std::move(roles)}}, SystemTime,
        x509::RandomOctets, TwoPersonRule{.methods = {"GenerateKey"}, .window = window}));
  }

  std::string Propose() {
    v1::GenerateKeyRequest request;
    request.set_client_id("orders");
    request.mutable_change()->set_expected_version(0);
    v1::GenerateKeyResponse response;
    grpc::ClientContext context;
    const auto status = key_admin_.GenerateKey(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.pending().id();
  }

  v1::ListPendingChangesResponse Pending() {
    v1::ListPendingChangesResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(key_admin_.ListPendingChanges(&context, {}, &response).ok());
    return response;
  }

  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream lines_;
};

TEST_F(PendingChangeServiceTest, AChangeThatExpiresIsRecordedOnceAndLogged) {
  SetRoles({Role::kOperator}, std::chrono::seconds(0));
  const auto id = Propose();
  server_->RemoveExpiredChanges();
  server_->RemoveExpiredChanges();
  static_cast<void>(Create());  // its line is durable when it is answered, and so are those before
  const auto lines = Audited("ChangeExpired");
  ASSERT_EQ(lines.size(), 1U);
  const auto& line = lines.front();
  EXPECT_EQ(line.at("change"), id);
  EXPECT_EQ(line.at("client_id"), "orders");
  EXPECT_EQ(line.at("method"), "GenerateKey");
  EXPECT_EQ(line.at("requested_by"), OwnIdentity());
  EXPECT_FALSE(line.contains("caller"));
  const auto log = lines_.str();
  EXPECT_TRUE(log.contains("warning change " + id + " expired, nobody approved it: GenerateKey for " + OwnIdentity() +
                           ", client orders\n"))
      << log;
  EXPECT_TRUE(log.contains(": client orders: not done yet, waits as change " + id + "\n")) << log;
  server_->Stop(std::chrono::seconds(0));
  server_->RemoveExpiredChanges();  // on a thread that outlives the audit log: nothing happens
}

TEST_F(PendingChangeServiceTest, AChangeWhoseRequesterLostTheRoleIsMarked) {
  SetRoles({Role::kOperator}, std::chrono::hours(1));
  Propose();
  ASSERT_EQ(Pending().changes_size(), 1);
  EXPECT_FALSE(Pending().changes(0).requester_lost_role());
  SetRoles({Role::kApprover}, std::chrono::hours(1));
  EXPECT_TRUE(Pending().changes(0).requester_lost_role());
}

TEST_F(KeyAdminServiceTest, ProveKeyRefusesAKeyThatAlreadySigns) {
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

// The real token, whose read calls wait for the latch. Changes use none of them.
class HeldReads final : public WrappedToken {
 public:
  HeldReads(Token& real, std::latch& hold) : WrappedToken(real), hold_(hold) {}
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    hold_.wait();
    return WrappedToken::Read(labels, ids);
  }
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override {
    hold_.wait();
    return WrappedToken::FindData(application, label);
  }

 private:
  std::latch& hold_;
};

// A second server, which reads through HeldReads. One caller sends it more administrative calls than it accepts.
class FloodedKeyAdminServiceTest : public ServerFixture {
 protected:
  FloodedKeyAdminServiceTest() {
    GenerateOrdersKey();
    kid_ = keys_->Snapshot()->at("orders").keys.front().record.kid;
    SetPolicy(Clients(), {{.caller = OwnIdentity(), .roles = {Role::kOperator, Role::kApprover}}});
  }

  ~FloodedKeyAdminServiceTest() override { Release(); }

  void Release() {
    if (!std::exchange(released_, true)) {
      hold_.count_down();
    }
  }

  // Sends one call that runs, as many as may wait, and kRefused more. Waits until these are refused.
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

  // Lets the calls go on. The accepted ones end with `code`, the others with RESOURCE_EXHAUSTED.
  void ExpectAnswers(StatusCode code) {
    Release();
    for (auto& one : calls_) {
      const auto answer = one.get();
      EXPECT_TRUE(answer == code || answer == StatusCode::RESOURCE_EXHAUSTED) << answer;
    }
  }

  bool released_ = false;
  std::latch hold_{1};
  HeldReads held_{hsm_.token(), hold_};
  std::string kid_;
  std::unique_ptr<HsmGroup> flooded_hsms_ = [this] {
    auto hsms = std::make_unique<HsmGroup>();
    hsms->Add(0, {.name = "test", .token = held_, .keys = *keys_, .queue = *queue_});
    return hsms;
  }();
  std::unique_ptr<Server> flooded_ =
      *Server::Start({.socket_path = PathOf("flooded.sock"), .socket_group = {}, .tls = {}}, policy_, *flooded_hsms_,
                     Administered(held_), audit_.get());
  v1::KeyAdminService::Stub flooded_admin_{ChannelTo(PathOf("flooded.sock"))};
  std::vector<std::future<StatusCode>> calls_;
};

TEST_F(FloodedKeyAdminServiceTest, AFloodOfApprovalsDelaysNeitherRevocationsNorChanges) {
  Flood([this](grpc::ClientContext* context) {
    v1::ApproveChangeRequest request;
    request.set_id("none");
    v1::ApproveChangeResponse response;
    return flooded_admin_.ApproveChange(context, request, &response);
  });
  ExpectBrakeAndChange();
  ExpectAnswers(StatusCode::NOT_FOUND);
}

TEST_F(FloodedKeyAdminServiceTest, AFloodOfWithdrawalsDelaysNeitherRevocationsNorChanges) {
  Flood([this](grpc::ClientContext* context) {
    v1::WithdrawChangeRequest request;
    request.set_id("none");
    v1::WithdrawChangeResponse response;
    return flooded_admin_.WithdrawChange(context, request, &response);
  });
  ExpectBrakeAndChange();
  ExpectAnswers(StatusCode::NOT_FOUND);
}

TEST_F(FloodedKeyAdminServiceTest, AFloodOfEvidenceRequestsDelaysNeitherRevocationsNorChanges) {
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

}  // namespace
}  // namespace assertion::service
