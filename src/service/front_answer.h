#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "observe/http_message.h"

// Answers of the HTTP front, made of the responses of the gRPC methods that they stand for. None may be cached.
namespace assertion::service {

// RFC 6749 section 5.1, of a GetAccessTokenResponse, whose octets it wipes. The listener wipes the answer's.
HttpAnswer TokenAnswer(const Result<grpc::ByteBuffer>& outcome, Time now);

// The same members and names, of a CreateAssertionResponse.
HttpAnswer AssertionAnswer(const Result<grpc::ByteBuffer>& outcome, Time now);

// RFC 6749 section 5.2, with a status that follows from the code, and Retry-After if the error has a delay.
HttpAnswer ErrorAnswer(const Error& error);

// The HTTP status for an error.
int HttpStatusOf(const Error& error);

// Whole seconds, rounded up, for a field Retry-After; 0: the error has no delay.
std::chrono::seconds RetryAfterOf(const Error& error);

}  // namespace assertion::service
