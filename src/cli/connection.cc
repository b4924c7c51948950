#include "cli/connection.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <string_view>
#include <thread>
#include <utility>

#include "assertion/descriptor.h"
#include "assertion/v1/access_token.grpc.pb.h"
#include "assertion/v1/assertion.grpc.pb.h"
#include "assertion/v1/key_admin.grpc.pb.h"
#include "cli/unreachable.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace assertion::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

constexpr int kReconnectMs = 20;
constexpr std::size_t kLongestPath = sizeof(sockaddr_un::sun_path) - 1;

Code CodeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
      return Code::kInvalidArgument;
    case grpc::StatusCode::UNAUTHENTICATED:
      return Code::kUnauthenticated;
    case grpc::StatusCode::PERMISSION_DENIED:
      return Code::kPermissionDenied;
    case grpc::StatusCode::NOT_FOUND:
      return Code::kNotFound;
    case grpc::StatusCode::ABORTED:
      return Code::kAborted;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Code::kResourceExhausted;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Code::kDeadlineExceeded;
    case grpc::StatusCode::INTERNAL:
      return Code::kInternal;
    case grpc::StatusCode::CANCELLED:  // by a server that stops: assertionctl cancels no call whose end it reads
    case grpc::StatusCode::UNAVAILABLE:
      return Code::kUnavailable;
    default:
      return Code::kFailedPrecondition;
  }
}

// The kinds of failures that share a gRPC status, by the reason of google.rpc.ErrorInfo; see service/status.cc.
constexpr std::array kReasons = {
    std::pair{std::string_view("KEY_FORBIDDEN"), Code::kKeyForbidden},
    std::pair{std::string_view("KEY_AMBIGUOUS"), Code::kKeyAmbiguous},
    std::pair{std::string_view("KEY_UNPROVEN"), Code::kKeyUnproven},
    std::pair{std::string_view("LEDGER_UNUSABLE"), Code::kLedgerUnusable},
};

// Connects, and waits while the server's backlog is full, because gRPC does not. kAddressUnusable: says why it failed.
Status Knock(const std::string& path, milliseconds limit) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto whole = std::chrono::floor<seconds>(limit);
  const timeval patience{.tv_sec = whole.count(), .tv_usec = std::chrono::microseconds(limit - whole).count()};
  path.copy(address.sun_path, kLongestPath);
  if (socket.get() < 0 || setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
      connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Fail(Code::kAddressUnusable, "no server answers at unix:" + path + ": " + WhyUnreachable(errno, path));
  }
  return {};
}

// How long the server asks to wait (google.rpc.RetryInfo); 0: it does not say.
std::chrono::milliseconds RetryDelayOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::RetryInfo retry;
  if (!details.ParseFromString(status.error_details())) {
    return {};
  }
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&retry)) {
      return seconds(retry.retry_delay().seconds()) +
             std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(retry.retry_delay().nanos()));
    }
  }
  return {};
}

Code CodeOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      const auto* const known = detail.UnpackTo(&info) && info.domain() == "assertiond"
                                    ? std::ranges::find(kReasons, info.reason(), &decltype(kReasons)::value_type::first)
                                    : kReasons.end();
      if (known != kReasons.end()) {
        return known->second;
      }
    }
  }
  return CodeOf(status.error_code());
}

std::unexpected<Error> ErrorOf(const grpc::Status& status) {
  return std::unexpected(Error{
      .code = CodeOf(status), .message = status.error_message(), .detail = {}, .retry_delay = RetryDelayOf(status)});
}

// Calls `method` of `stub` and turns a status that is not OK into an Error. `context` has the deadline.
template <typename Stub, typename Request, typename Response>
Result<Response> AnswerOf(grpc::ClientContext& context, Stub& stub,
                          grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                          const Request& request) {
  Response response;
  const auto status = (stub.*method)(&context, request, &response);
  if (!status.ok()) {
    return ErrorOf(status);
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

// Sends requests until all are answered or the stream ends.
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
  // Calls a method that may take as long as `limits` say.
  template <typename Stub, typename Request, typename Response>
  Result<Response> Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                        const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + limits.call);
    return AnswerOf(context, stub, method, request);
  }

  // The same for a method whose answer tells the server's version.
  template <typename Request, typename Response>
  Result<Response> Read(grpc::Status (v1::KeyAdminService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                          Response*),
                        const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + limits.call);
    auto response = AnswerOf(context, keys, method, request);
    const auto& metadata = context.GetServerInitialMetadata();
    if (const auto found = metadata.find("assertiond-version"); found != metadata.end()) {
      version.assign(found->second.data(), found->second.size());
    }
    return response;
  }

  std::shared_ptr<grpc::Channel> channel;
  Limits limits;
  v1::AssertionService::Stub assertions{channel};
  v1::AccessTokenService::Stub tokens{channel};
  v1::KeyAdminService::Stub keys{channel};
  std::string version;  // empty: not told
};

Connection::Connection(std::unique_ptr<Stubs> stubs) : stubs_(std::move(stubs)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::Open(const std::string& address, const Limits& limits) {
  if (!address.starts_with("unix:")) {
    return Fail(Code::kAddressUnusable, "the server's address must begin with unix:, not be '" + address + "'");
  }
  const auto path = address.substr(address.find(':') + 1);
  if (path.size() > kLongestPath) {  // gRPC would write lines of its own
    return Fail(Code::kAddressUnusable, "no server answers at " + address +
                                            ": the path is too long: " + std::to_string(path.size()) +
                                            " octets, and a socket's has at most " + std::to_string(kLongestPath));
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMs);
  const auto channel = grpc::CreateCustomChannel(address, grpc::experimental::LocalCredentials(UDS), arguments);
  const auto deadline = system_clock::now() + limits.connect;
  for (auto state = channel->GetState(true); state != GRPC_CHANNEL_READY; state = channel->GetState(true)) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) {
      RETURN_IF_ERROR(Knock(path, limits.connect));
    }
    if (!channel->WaitForStateChange(state, deadline)) {
      return Fail(Code::kAddressUnusable, "no server answers at " + address + " within " +
                                              std::to_string(limits.connect.count()) +
                                              " ms: a process listens there and does not answer");
    }
  }
  return Connection(std::unique_ptr<Stubs>(new Stubs{.channel = channel, .limits = limits, .version = {}}));
}

// The messages of grpc.health.v1 have one field each, with the numbers and types of these.
Result<bool> Connection::IsServing() {
  constexpr int kServing = 1;
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + stubs_->limits.call);
  const google::protobuf::StringValue whole_server;
  google::protobuf::Int32Value state;
  const auto answered = std::make_shared<std::promise<grpc::Status>>();  // gRPC's thread may still be in set_value
  auto answer = answered->get_future();
  grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value> stub(stubs_->channel);
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &whole_server, &state,
                 [answered](const grpc::Status& status) { answered->set_value(status); });
  const auto status = answer.get();
  return status.ok() ? Result<bool>(state.value() == kServing) : ErrorOf(status);
}

const std::string& Connection::server_version() const { return stubs_->version; }

Result<v1::CreateAssertionResponse> Connection::CreateAssertion(const v1::CreateAssertionRequest& request) {
  return stubs_->Call(stubs_->assertions, &v1::AssertionService::Stub::CreateAssertion, request);
}

// A server reads a stream for a limited time only: requests that it did not answer go on another stream.
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

Result<v1::CreateDpopProofResponse> Connection::CreateDpopProof(const v1::CreateDpopProofRequest& request) {
  return stubs_->Call(stubs_->assertions, &v1::AssertionService::Stub::CreateDpopProof, request);
}

Result<v1::CreateRequestObjectResponse> Connection::CreateRequestObject(const v1::CreateRequestObjectRequest& request) {
  return stubs_->Call(stubs_->assertions, &v1::AssertionService::Stub::CreateRequestObject, request);
}

Result<v1::GetAccessTokenResponse> Connection::GetAccessToken(const v1::GetAccessTokenRequest& request) {
  return stubs_->Call(stubs_->tokens, &v1::AccessTokenService::Stub::GetAccessToken, request);
}

Result<v1::GetCertificateResponse> Connection::GetCertificate(const v1::GetCertificateRequest& request) {
  return stubs_->Call(stubs_->assertions, &v1::AssertionService::Stub::GetCertificate, request);
}

Result<v1::GetJwksResponse> Connection::GetJwks(const v1::GetJwksRequest& request) {
  return stubs_->Call(stubs_->assertions, &v1::AssertionService::Stub::GetJwks, request);
}

Result<v1::GenerateKeyResponse> Connection::GenerateKey(const v1::GenerateKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::GenerateKey, request);
}

Result<v1::ListKeysResponse> Connection::ListKeys(const v1::ListKeysRequest& request) {
  return stubs_->Read(&v1::KeyAdminService::Stub::ListKeys, request);
}

Result<v1::RotateKeyResponse> Connection::RotateKey(const v1::RotateKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::RotateKey, request);
}

Result<v1::ScheduleKeyResponse> Connection::ScheduleKey(const v1::ScheduleKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::ScheduleKey, request);
}

Result<v1::ProveKeyResponse> Connection::ProveKey(const v1::ProveKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::ProveKey, request);
}

Result<v1::GetKeyResponse> Connection::GetKey(const v1::GetKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::GetKey, request);
}

Result<v1::CreateCsrResponse> Connection::CreateCsr(const v1::CreateCsrRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::CreateCsr, request);
}

Result<v1::ImportCertificateResponse> Connection::ImportCertificate(const v1::ImportCertificateRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::ImportCertificate, request);
}

Result<v1::RevokeKeyResponse> Connection::RevokeKey(const v1::RevokeKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::RevokeKey, request);
}

Result<v1::DestroyKeyResponse> Connection::DestroyKey(const v1::DestroyKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::DestroyKey, request);
}

Result<v1::AcceptLedgerResponse> Connection::AcceptLedger(const v1::AcceptLedgerRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::AcceptLedger, request);
}

Result<v1::ExamineKeyResponse> Connection::ExamineKey(const v1::ExamineKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::ExamineKey, request);
}

Result<v1::AdoptKeyResponse> Connection::AdoptKey(const v1::AdoptKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::AdoptKey, request);
}

Result<v1::ImportKeyResponse> Connection::ImportKey(const v1::ImportKeyRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::ImportKey, request);
}

Result<v1::CreateEvidenceResponse> Connection::CreateEvidence(const v1::CreateEvidenceRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::CreateEvidence, request);
}

Result<v1::ListPendingChangesResponse> Connection::ListPendingChanges(const v1::ListPendingChangesRequest& request) {
  return stubs_->Read(&v1::KeyAdminService::Stub::ListPendingChanges, request);
}

Result<v1::ApproveChangeResponse> Connection::ApproveChange(const v1::ApproveChangeRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::ApproveChange, request);
}

Result<v1::WithdrawChangeResponse> Connection::WithdrawChange(const v1::WithdrawChangeRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::WithdrawChange, request);
}

Result<v1::GetAuditHeadResponse> Connection::GetAuditHead(const v1::GetAuditHeadRequest& request) {
  return stubs_->Call(stubs_->keys, &v1::KeyAdminService::Stub::GetAuditHead, request);
}

}  // namespace assertion::cli
