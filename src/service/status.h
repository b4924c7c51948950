#pragma once

#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "assertion/error.h"
#include "service/message.h"

namespace assertion::service {

// What the caller sees of an error: its code and message, and when to try again (google.rpc.RetryInfo in
// grpc-status-details-bin); never its detail.
grpc::Status ToGrpc(const Error& error);

// The name of the gRPC status code, for example PERMISSION_DENIED.
const char* CodeName(Code code);

// Ends the call with the error, and logs its detail if it has one.
void Refuse(grpc::ServerUnaryReactor* reactor, const Error& error);

// Ends the call with the response, or the error.
template <typename Response>
void Answer(grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response, const Result<Response>& result) {
  if (!result) {
    Refuse(reactor, result.error());
    return;
  }
  *response = Serialize(*result);
  reactor->Finish(grpc::Status::OK);
}

}  // namespace assertion::service
