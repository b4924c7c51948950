#include "cli/connection.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <thread>
#include <utility>

#include "assertion/v1/assertion.grpc.pb.h"
#include "assertion/v1/key_admin.grpc.pb.h"

namespace assertion::cli {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

constexpr seconds kConnectLimit{5};
constexpr seconds kCallLimit{60};  // a new RSA key may take long

Code CodeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
      return Code::kInvalidArgument;
    case grpc::StatusCode::NOT_FOUND:
      return Code::kNotFound;
    case grpc::StatusCode::ABORTED:
      return Code::kAborted;
    case grpc::StatusCode::UNAVAILABLE:
      return Code::kUnavailable;
    default:
      return Code::kFailedPrecondition;
  }
}

// Calls `method` of `stub` and turns a status that is not OK into an Error.
template <typename Stub, typename Request, typename Response>
Result<Response> Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                      const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + kCallLimit);
  Response response;
  const auto status = (stub.*method)(&context, request, &response);
  if (!status.ok()) {
    return Fail(CodeOf(status.error_code()), status.error_message());
  }
  return response;
}

Result<v1::CreateAssertionResponse> OutcomeOf(v1::CreateAssertionsResponse& response) {
  if (response.has_error()) {
    const auto& error = response.error();
    return Fail(CodeOf(static_cast<grpc::StatusCode>(error.code())), error.message());
  }
  return std::move(*response.mutable_assertion());
}

struct StreamEnd {
  grpc::Status status;
  std::uint64_t answered = 0;
  bool wanted = true;  // by `use`
};

// Asks until everything is answered or the stream ends.
template <typename Use>
StreamEnd AskOnStream(v1::AssertionService::Stub& stub, const v1::CreateAssertionRequest& request, std::uint64_t count,
                      const Use& use) {
  grpc::ClientContext context;
  const auto stream = stub.CreateAssertions(&context);
  std::jthread writing([&] {
    v1::CreateAssertionsRequest wanted;
    *wanted.mutable_assertion() = request;
    for (std::uint64_t tag = 0; tag < count; ++tag) {
      wanted.set_tag(tag);
      if (!stream->Write(wanted)) {
        return;
      }
    }
    stream->WritesDone();
  });
  StreamEnd end;
  for (v1::CreateAssertionsResponse response; end.wanted && stream->Read(&response); ++end.answered) {
    end.wanted = use(OutcomeOf(response));
  }
  if (!end.wanted) {
    context.TryCancel();
  }
  writing.join();
  end.status = stream->Finish();
  return end;
}

}  // namespace

struct Connection::Stubs {
  v1::AssertionService::Stub assertions;
  v1::KeyAdminService::Stub keys;
};

Connection::Connection(std::unique_ptr<Stubs> stubs) : stubs_(std::move(stubs)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::Open(const std::string& address) {
  if (!address.starts_with("unix:")) {
    return Fail(Code::kAddressUnusable, "the server's address must begin with unix:, not be '" + address + "'");
  }
  const auto channel = grpc::CreateChannel(address, grpc::experimental::LocalCredentials(UDS));
  const auto deadline = system_clock::now() + kConnectLimit;
  for (auto state = channel->GetState(true); state != GRPC_CHANNEL_READY; state = channel->GetState(true)) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || !channel->WaitForStateChange(state, deadline)) {
      return Fail(Code::kAddressUnusable, "no server answers at " + address);
    }
  }
  return Connection(std::make_unique<Stubs>(v1::AssertionService::Stub(channel), v1::KeyAdminService::Stub(channel)));
}

Result<v1::CreateAssertionResponse> Connection::CreateAssertion(const v1::CreateAssertionRequest& request) {
  return Call(stubs_->assertions, &v1::AssertionService::Stub::CreateAssertion, request);
}

// A server reads a stream for a while only; what it has not answered is asked on another.
Status Connection::CreateAssertions(const v1::CreateAssertionRequest& request, std::uint64_t count,
                                    const std::function<bool(Result<v1::CreateAssertionResponse>)>& use) {
  while (count > 0) {
    const auto end = AskOnStream(stubs_->assertions, request, count, use);
    count -= end.answered;
    if (!end.wanted) {
      return {};
    }
    if (!end.status.ok() && (end.status.error_code() != grpc::StatusCode::UNAVAILABLE || end.answered == 0)) {
      return Fail(CodeOf(end.status.error_code()), end.status.error_message());
    }
    if (end.status.ok() && count > 0) {
      return Fail(Code::kFailedPrecondition, "the server ended the stream before it had answered everything");
    }
  }
  return {};
}

Result<v1::GetCertificateResponse> Connection::GetCertificate(const v1::GetCertificateRequest& request) {
  return Call(stubs_->assertions, &v1::AssertionService::Stub::GetCertificate, request);
}

Result<v1::GetJwksResponse> Connection::GetJwks(const v1::GetJwksRequest& request) {
  return Call(stubs_->assertions, &v1::AssertionService::Stub::GetJwks, request);
}

Result<v1::GenerateKeyResponse> Connection::GenerateKey(const v1::GenerateKeyRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::GenerateKey, request);
}

Result<v1::ListKeysResponse> Connection::ListKeys(const v1::ListKeysRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::ListKeys, request);
}

Result<v1::RotateKeyResponse> Connection::RotateKey(const v1::RotateKeyRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::RotateKey, request);
}

Result<v1::ScheduleKeyResponse> Connection::ScheduleKey(const v1::ScheduleKeyRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::ScheduleKey, request);
}

Result<v1::ProveKeyResponse> Connection::ProveKey(const v1::ProveKeyRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::ProveKey, request);
}

Result<v1::GetKeyResponse> Connection::GetKey(const v1::GetKeyRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::GetKey, request);
}

Result<v1::CreateCsrResponse> Connection::CreateCsr(const v1::CreateCsrRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::CreateCsr, request);
}

Result<v1::ImportCertificateResponse> Connection::ImportCertificate(const v1::ImportCertificateRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::ImportCertificate, request);
}

Result<v1::RevokeKeyResponse> Connection::RevokeKey(const v1::RevokeKeyRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::RevokeKey, request);
}

Result<v1::DestroyKeyResponse> Connection::DestroyKey(const v1::DestroyKeyRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::DestroyKey, request);
}

Result<v1::CreateEvidenceResponse> Connection::CreateEvidence(const v1::CreateEvidenceRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::CreateEvidence, request);
}

Result<v1::ListPendingChangesResponse> Connection::ListPendingChanges(const v1::ListPendingChangesRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::ListPendingChanges, request);
}

Result<v1::ApproveChangeResponse> Connection::ApproveChange(const v1::ApproveChangeRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::ApproveChange, request);
}

Result<v1::WithdrawChangeResponse> Connection::WithdrawChange(const v1::WithdrawChangeRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::WithdrawChange, request);
}

Result<v1::GetAuditHeadResponse> Connection::GetAuditHead(const v1::GetAuditHeadRequest& request) {
  return Call(stubs_->keys, &v1::KeyAdminService::Stub::GetAuditHead, request);
}

}  // namespace assertion::cli
