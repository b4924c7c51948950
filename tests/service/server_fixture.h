#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assertion/v1/assertion.grpc.pb.h"
#include "assertion/v1/key_admin.grpc.pb.h"
#include "audit/log.h"
#include "keys/key_custodian.h"
#include "keys/key_ring.h"
#include "keys/token_ledger.h"
#include "policy/policy.h"
#include "service/server.h"
#include "signing/hsm_group.h"
#include "signing/jws_key.h"
#include "signing/signing_queue.h"
#include "softhsm.h"
#include "x509/certifier.h"

namespace assertion::service {

using grpc::StatusCode;

// A server on a Unix socket with one SoftHSM2 token. The clients "orders" and "keyless" start without keys; this
// process may call for both and is an operator.
class ServerFixture : public testing::Test {
 protected:
  static constexpr const char* kAudience = "https://localhost:9443/oauth2/token";

  ServerFixture();

  // This process as the server identifies it.
  static std::string OwnIdentity();

  static std::vector<Client> Clients();

  // Replaces the policy of the server.
  void SetPolicy(std::vector<Client> clients, std::vector<Operator> operators = {});

  // Another server on the socket `path`, with the same policy and audit log.
  Result<std::unique_ptr<Server>> StartServer(const std::string& path, HsmGroup& hsms, const Limits& limits = {});

  // A group with one HSM: the fixture's token behind `queue`.
  std::unique_ptr<HsmGroup> GroupOf(SigningQueue& queue);

  // The fixture's keys, administered through `token`.
  AdministeredHsms Administered(Token& token);

  static std::shared_ptr<grpc::Channel> ChannelTo(const std::string& path);

  std::string PathOf(const std::string& name) const { return hsm_.directory() / name; }
  std::string socket() const { return PathOf("assertiond.sock"); }
  std::string audit_path() const { return PathOf("audit.log"); }

  // The audit log's lines with this event.
  std::vector<nlohmann::json> Audited(const std::string& event) const;

  void GenerateOrdersKey();

  // Sends request_ and stores the answer in response_.
  grpc::Status Create();

  void ExpectRefused(StatusCode code, const std::string& message);

  // Calls `method` ("/package.Service/Method") with these octets, which need not be a valid message.
  grpc::Status CallRaw(const std::string& method, const std::string& octets, std::string* answer = nullptr);

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
  v1::CreateAssertionRequest request_;  // for "orders", every other field unset
  v1::CreateAssertionResponse response_;
};

// Start makes a second server with limits of its own and points channel_ at it.
class LimitedServerFixture : public ServerFixture {
 protected:
  std::unique_ptr<v1::AssertionService::Stub> Start(const Limits& limits);

  std::unique_ptr<Server> limited_;
};

}  // namespace assertion::service
