#pragma once

#include <grpcpp/support/status.h>

#include "assertion/error.h"
#include "google/rpc/status.pb.h"
#include "service/message.h"
#include "service/unary_call.h"

namespace assertion::service {

// What the caller sees of an error: its code and message, and when to try again (google.rpc.RetryInfo); never its
// detail, which is logged.
google::rpc::Status ToStatus(const Error& error);

// The same as a call ends with it, google.rpc.Status in grpc-status-details-bin if there is more than code and message.
grpc::Status ToGrpc(const Error& error);

// The name of the gRPC status code, for example PERMISSION_DENIED.
const char* CodeName(Code code);

// Ends the call with the error.
void Refuse(UnaryCall& call, const Error& error);

// Ends the call with the response, or the error.
template <typename Response>
void Answer(UnaryCall& call, const Result<Response>& result) {
  if (!result) {
    Refuse(call, result.error());
    return;
  }
  *call.response() = Serialize(*result);
  call.Finish(grpc::Status::OK);
}

}  // namespace assertion::service
