#include "service/status.h"

#include <spdlog/spdlog.h>

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
    case Code::kKeyAmbiguous:
    case Code::kKeyUnproven:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kInternal:
    case Code::kConfigInvalid:
    case Code::kAddressUnusable:
      break;
  }
  return grpc::StatusCode::INTERNAL;
}

}  // namespace

grpc::Status ToGrpc(const Error& error) { return {CodeOf(error.code), error.message}; }

void Refuse(grpc::ServerUnaryReactor* reactor, const Error& error) {
  if (!error.detail.empty()) {
    spdlog::warn("refused: {}", error.ToString());
  }
  reactor->Finish(ToGrpc(error));
}

}  // namespace assertion::service
