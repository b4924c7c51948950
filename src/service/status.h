#pragma once

#include <grpcpp/support/status.h>

#include "assertion/error.h"
#include "google/rpc/status.pb.h"
#include "service/message.h"
#include "service/unary_call.h"

namespace assertion::service {

// The part of an error that the caller sees: code, message, retry delay (google.rpc.RetryInfo) and, where failures of
// several kinds share the code, the kind (google.rpc.ErrorInfo, domain "assertiond"). The detail is only logged.
google::rpc::Status ToStatus(const Error& error);

// The same as gRPC sends it: google.rpc.Status goes into grpc-status-details-bin if it holds more than code and
// message.
grpc::Status ToGrpc(const Error& error);

// The name of the gRPC status code, for example PERMISSION_DENIED.
const char* CodeName(Code code);

// Ends the call with the error.
void Refuse(UnaryCall& call, const Error& error);

// Ends the call with the response, or the error.
template <typename Response>
void Respond(UnaryCall& call, const Result<Response>& result) {
  if (!result) {
    Refuse(call, result.error());
    return;
  }
  *call.response() = Serialize(*result);
  call.Finish(grpc::Status::OK);
}

}  // namespace assertion::service
