#include "service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <utility>

#include "service/assertion_service.h"
#include "service/key_admin_service.h"
#include "service/local_listener.h"

namespace assertion::service {
namespace {

constexpr int kMaxRequestOctets = 64 * 1024;  // 8 KiB of claims and room to say what was wrong with more
constexpr int kHandshakeLimitMs = 2000;

}  // namespace

struct Server::Parts {
  Parts(std::unique_ptr<LocalListener> bound, const CurrentPolicy& policy, const KeyRing& keys, KeyCustodian& custodian,
        Token& token, SigningQueue& queue, audit::Log* audit)
      : listener(std::move(bound)),
        assertion_service(policy, keys, queue, audit),
        key_admin_service(policy, keys, custodian, token, queue, audit) {}

  std::unique_ptr<LocalListener> listener;
  AssertionService assertion_service;
  KeyAdminService key_admin_service;
  std::unique_ptr<grpc::Server> server;
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Server>> Server::Start(const std::string& socket_path, std::optional<gid_t> socket_group,
                                              const CurrentPolicy& policy, const KeyRing& keys, KeyCustodian& custodian,
                                              Token& token, SigningQueue& queue, audit::Log* audit) {
  auto listener = LocalListener::Bind(socket_path, socket_group);
  if (!listener) {
    return std::unexpected(listener.error());
  }
  auto parts = std::make_unique<Parts>(std::move(*listener), policy, keys, custodian, token, queue, audit);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  parts->listener->AddTo(builder);
  builder.SetMaxReceiveMessageSize(kMaxRequestOctets);
  // A connection that says nothing would delay the stop for gRPC's own 120 s.
  builder.AddChannelArgument("grpc.server_handshake_timeout_ms", kHandshakeLimitMs);
  builder.RegisterService(&parts->assertion_service);
  builder.RegisterService(&parts->key_admin_service);
  parts->server = builder.BuildAndStart();
  if (!parts->server) {
    return Fail(Code::kInternal, "gRPC does not start", "ServerBuilder::BuildAndStart");
  }
  if (const auto started = parts->listener->Start(); !started) {
    return std::unexpected(started.error());
  }
  parts->server->GetHealthCheckService()->SetServingStatus(true);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::~Server() { Stop(std::chrono::seconds(0)); }

void Server::SetServing(bool serving) { parts_->server->GetHealthCheckService()->SetServingStatus(serving); }

void Server::Stop(std::chrono::seconds grace) {
  if (parts_->server) {
    parts_->server->GetHealthCheckService()->SetServingStatus(false);
    parts_->listener->Stop();
    parts_->server->Shutdown(std::chrono::system_clock::now() + grace);
    parts_->server->Wait();
    parts_->server.reset();
    parts_->listener.reset();
  }
}

}  // namespace assertion::service
