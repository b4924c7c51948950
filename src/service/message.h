#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <string>

#include "assertion/error.h"

namespace assertion::service {

// RFC 7523 section 2.2.
inline constexpr const char* kClientAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

// Fills `message` from the wire. gRPC's own parsing would answer a malformed request with UNIMPLEMENTED and no reason;
// here it is INVALID_ARGUMENT, and a string that is not UTF-8 is named by its field.
Status Parse(const grpc::ByteBuffer& wire, google::protobuf::Message& message);

// Fills `message`, in which a private key comes. Wipes the wire whatever comes of it, and takes no copy of it
// elsewhere.
Status ParseAndWipe(const grpc::ByteBuffer& wire, google::protobuf::Message& message);

// The wire form of `message`.
grpc::ByteBuffer Serialize(const google::protobuf::Message& message);

// The same of a message with a secret: the octets are wiped once gRPC has sent them.
grpc::ByteBuffer SerializeSecret(const google::protobuf::Message& message);

}  // namespace assertion::service
