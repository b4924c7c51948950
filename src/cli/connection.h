#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "assertion/error.h"
#include "assertion/v1/access_token.pb.h"
#include "assertion/v1/assertion.pb.h"
#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// A connection to assertiond, one call at a time. An error has the server's message, and its code where that
// changes what to do next. kAddressUnusable: the server cannot be reached.
class Connection {
 public:
  // How long to wait for the connection, and for each answer.
  struct Limits {
    std::chrono::milliseconds connect{5'000};
    std::chrono::milliseconds call{60'000};  // a new RSA key may take long
  };

  // `address` is what gRPC takes, for example unix:/run/assertiond/assertiond.sock.
  static Result<Connection> Open(const std::string& address) { return Open(address, {}); }
  static Result<Connection> Open(const std::string& address, const Limits& limits);

  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // Whether the server is ready to sign (grpc.health.v1). Every peer may ask.
  Result<bool> IsServing();

  // The version of the server, which tells it to viewers with the answers of ListKeys and ListPendingChanges. Empty:
  // neither was answered, or by a server that does not tell it.
  const std::string& server_version() const;

  Result<v1::CreateAssertionResponse> CreateAssertion(const v1::CreateAssertionRequest& request);

  // Creates `count` assertions over one stream. `use` gets each answer as it arrives and returns whether to go on.
  Status CreateAssertions(const v1::CreateAssertionRequest& request, std::uint64_t count,
                          const std::function<bool(Result<v1::CreateAssertionResponse>)>& use);

  Result<v1::CreateDpopProofResponse> CreateDpopProof(const v1::CreateDpopProofRequest& request);
  Result<v1::CreateRequestObjectResponse> CreateRequestObject(const v1::CreateRequestObjectRequest& request);
  Result<v1::GetAccessTokenResponse> GetAccessToken(const v1::GetAccessTokenRequest& request);
  Result<v1::GetCertificateResponse> GetCertificate(const v1::GetCertificateRequest& request);
  Result<v1::GetJwksResponse> GetJwks(const v1::GetJwksRequest& request);
  Result<v1::GenerateKeyResponse> GenerateKey(const v1::GenerateKeyRequest& request);
  Result<v1::ListKeysResponse> ListKeys(const v1::ListKeysRequest& request);
  Result<v1::RotateKeyResponse> RotateKey(const v1::RotateKeyRequest& request);
  Result<v1::ScheduleKeyResponse> ScheduleKey(const v1::ScheduleKeyRequest& request);
  Result<v1::ProveKeyResponse> ProveKey(const v1::ProveKeyRequest& request);
  Result<v1::GetKeyResponse> GetKey(const v1::GetKeyRequest& request);
  Result<v1::CreateCsrResponse> CreateCsr(const v1::CreateCsrRequest& request);
  Result<v1::ImportCertificateResponse> ImportCertificate(const v1::ImportCertificateRequest& request);
  Result<v1::RevokeKeyResponse> RevokeKey(const v1::RevokeKeyRequest& request);
  Result<v1::DestroyKeyResponse> DestroyKey(const v1::DestroyKeyRequest& request);
  Result<v1::AcceptLedgerResponse> AcceptLedger(const v1::AcceptLedgerRequest& request);
  Result<v1::ExamineKeyResponse> ExamineKey(const v1::ExamineKeyRequest& request);
  Result<v1::AdoptKeyResponse> AdoptKey(const v1::AdoptKeyRequest& request);
  Result<v1::ImportKeyResponse> ImportKey(const v1::ImportKeyRequest& request);
  Result<v1::CreateEvidenceResponse> CreateEvidence(const v1::CreateEvidenceRequest& request);
  Result<v1::ListPendingChangesResponse> ListPendingChanges(const v1::ListPendingChangesRequest& request);
  Result<v1::ApproveChangeResponse> ApproveChange(const v1::ApproveChangeRequest& request);
  Result<v1::WithdrawChangeResponse> WithdrawChange(const v1::WithdrawChangeRequest& request);
  Result<v1::GetAuditHeadResponse> GetAuditHead(const v1::GetAuditHeadRequest& request);

 private:
  struct Stubs;  // keeps gRPC's headers in one file

  explicit Connection(std::unique_ptr<Stubs> stubs);

  std::unique_ptr<Stubs> stubs_;
};

}  // namespace assertion::cli
