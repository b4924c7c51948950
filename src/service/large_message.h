#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>

#include "assertion/error.h"

namespace assertion::service {

inline constexpr std::size_t kLargestMessage = std::size_t{256} << 10U;

// Parse (message.h) for a message of up to kLargestMessage octets instead of 64 KiB: Envoy's check has the path of the
// request twice, and Envoy takes 60 KiB of headers.
Status ParseLarge(const grpc::ByteBuffer& wire, google::protobuf::Message& message);

}  // namespace assertion::service
