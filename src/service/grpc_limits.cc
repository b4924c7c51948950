#include "service/grpc_limits.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <utility>
#include <vector>

#include "service/handshake_turns.h"
#include "service/large_message.h"
#include "service/reflections.h"

namespace assertion::service {
namespace {

constexpr int kMostStreams = 100;  // calls at once on one connection
constexpr int kMostReflectionThreads = 16;
constexpr int kMaxHeaderOctets = 8 * 1024;

int Milliseconds(std::chrono::milliseconds time) { return static_cast<int>(time.count()); }

}  // namespace

void SetLimits(grpc::ServerBuilder& builder, const Limits& limits) {
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(limits.connection_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(limits.connection_grace));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderOctets);
  // Pings are not limited: gRPC 1.51 keeps 4.5 KB for each ping that is too early until the connection is closed, which
  // can take hundreds of megabytes in a second. An answered ping costs 0.1 us and no memory.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  // A call that declares compressed messages is UNIMPLEMENTED at its headers. Nothing is ever decompressed.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // gRPC's own reflection service is open to every peer and occupies a thread per open stream. Beyond this number of
  // threads a reflection call is RESOURCE_EXHAUSTED. Our services need none of these threads.
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(Reflections::NewFactory());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  grpc::ResourceQuota quota("assertiond");
  quota.SetMaxThreads(kMostReflectionThreads);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(static_cast<int>(kLargestMessage));  // most methods take less: message.cc
  // A silent connection would otherwise delay the stop by gRPC's default of 120 s.
  builder.AddChannelArgument("grpc.server_handshake_timeout_ms", Milliseconds(HandshakeTurns::kHandshakeLimit));
}

}  // namespace assertion::service
