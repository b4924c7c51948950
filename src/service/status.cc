#include "service/status.h"

#include <array>

#include "google/rpc/error_details.pb.h"
#include "observe/log.h"

namespace assertion::service {
namespace {

grpc::StatusCode CodeOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Code::kUnauthenticated:
      return grpc::StatusCode::UNAUTHENTICATED;
    case Code::kPermissionDenied:
      return grpc::StatusCode::PERMISSION_DENIED;
    case Code::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case Code::kAlreadyExists:
      return grpc::StatusCode::ALREADY_EXISTS;
    case Code::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case Code::kAborted:
      return grpc::StatusCode::ABORTED;
    case Code::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Code::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Code::kUnavailable:
    case Code::kModuleUnusable:
    case Code::kTokenAbsent:
    case Code::kTokenAmbiguous:
    case Code::kPinUnreadable:
    case Code::kPinExposed:
    case Code::kPinRefused:
    case Code::kPinLocked:
    case Code::kLedgerUnusable:
      return grpc::StatusCode::UNAVAILABLE;
    case Code::kFailedPrecondition:
    case Code::kKeyForbidden:
    case Code::kTemplateRefused:
    case Code::kKeyAmbiguous:
    case Code::kKeyUnproven:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kInternal:
    case Code::kConfigInvalid:
    case Code::kAddressUnusable:
    case Code::kAuditUnusable:
    case Code::kTlsUnusable:
      break;
  }
  return grpc::StatusCode::INTERNAL;
}

// Tells apart what shares a gRPC status, for google.rpc.ErrorInfo; null: the status says enough.
const char* ReasonOf(Code code) {
  switch (code) {
    case Code::kKeyForbidden:
      return "KEY_FORBIDDEN";
    case Code::kKeyAmbiguous:
      return "KEY_AMBIGUOUS";
    case Code::kKeyUnproven:
      return "KEY_UNPROVEN";
    case Code::kLedgerUnusable:
      return "LEDGER_UNUSABLE";
    default:
      return nullptr;
  }
}

}  // namespace

google::rpc::Status ToStatus(const Error& error) {
  if (!error.detail.empty()) {
    static SparingLog log;  // while a file cannot be written or a token is away, every call logs here
    log.Write(spdlog::level::warn, "refused: " + error.ToString());
  }
  google::rpc::Status status;
  status.set_code(CodeOf(error.code));
  status.set_message(error.message);
  if (error.retry_delay.count() != 0) {
    constexpr int kNanosInMilli = 1'000'000;
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(error.retry_delay.count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(error.retry_delay.count() % 1000) * kNanosInMilli);
    status.add_details()->PackFrom(retry);
  }
  if (const auto* reason = ReasonOf(error.code)) {
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain("assertiond");
    status.add_details()->PackFrom(info);
  }
  return status;
}

grpc::Status ToGrpc(const Error& error) {
  const auto status = ToStatus(error);
  return {CodeOf(error.code), error.message, status.details_size() == 0 ? "" : status.SerializeAsString()};
}

const char* CodeName(Code code) {
  static constexpr std::array kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return kNames.at(static_cast<std::size_t>(CodeOf(code)));
}

void Refuse(UnaryCall& call, const Error& error) { call.Finish(ToGrpc(error)); }

}  // namespace assertion::service
