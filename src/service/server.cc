#include "service/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "observe/log.h"
#include "service/assertion_service.h"
#include "service/heartbeat.h"
#include "service/key_admin_service.h"
#include "service/local_listener.h"
#include "service/tls_listener.h"

namespace assertion::service {
namespace {

constexpr int kMaxRequestOctets = 64 * 1024;  // 8 KiB of claims and room to say what was wrong with more
constexpr int kHandshakeLimitMs = 2000;
constexpr int kLongestConnectionMs = 5 * 60 * 1000;  // a caller whose certificate is revoked is gone by twice that

// gRPC's own lines, most of which a peer can cause, in our log: one format, and no more a second than of any such kind.
void LogForGrpc(gpr_log_func_args* line) {
  static SparingLog log;
  const auto level = line->severity == GPR_LOG_SEVERITY_DEBUG  ? spdlog::level::debug
                     : line->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::info
                                                               : spdlog::level::warn;
  log.Write(level, std::string("gRPC: ") + line->message);
}

}  // namespace

struct Server::Parts {
  Parts(std::unique_ptr<LocalListener> bound, const CurrentPolicy& policy, const HsmGroup& hsms, audit::Log* audit,
        AssertionTally* tally, Rate refused)
      : listener(std::move(bound)),
        refusals(refused, audit, tally),
        assertion_service(policy, hsms, {.log = audit, .refusals = &refusals}, tally),
        key_admin_service(policy, hsms, {.log = audit, .refusals = &refusals}) {}

  std::unique_ptr<LocalListener> listener;
  std::unique_ptr<TlsListener> tls_listener;  // null: no TCP
  Refusals refusals;
  AssertionService assertion_service;
  KeyAdminService key_admin_service;
  std::unique_ptr<grpc::Server> server;
  Heartbeat heartbeat;
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Server>> Server::Start(Addresses addresses, const CurrentPolicy& policy, const HsmGroup& hsms,
                                              audit::Log* audit, AssertionTally* tally) {
  gpr_set_log_function(LogForGrpc);
  auto listener = LocalListener::Bind(addresses.socket_path, addresses.socket_group);
  if (!listener) {
    return std::unexpected(listener.error());
  }
  auto parts = std::make_unique<Parts>(std::move(*listener), policy, hsms, audit, tally, addresses.refusals);
  if (addresses.tls) {
    auto tls = TlsListener::New(std::move(*addresses.tls), hsms.First()->token);
    if (!tls) {
      return std::unexpected(tls.error());
    }
    parts->tls_listener = std::move(*tls);
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (parts->tls_listener) {
    parts->tls_listener->AddTo(builder);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kLongestConnectionMs);
  }
  builder.SetMaxReceiveMessageSize(kMaxRequestOctets);
  // A connection that says nothing would delay the stop for gRPC's own 120 s.
  builder.AddChannelArgument("grpc.server_handshake_timeout_ms", kHandshakeLimitMs);
  builder.RegisterService(&parts->assertion_service);
  builder.RegisterService(&parts->key_admin_service);
  parts->server = builder.BuildAndStart();
  if (!parts->server && parts->tls_listener) {
    return Fail(Code::kAddressUnusable, "cannot listen on " + parts->tls_listener->address(),
                "ServerBuilder::BuildAndStart");
  }
  if (!parts->server) {
    return Fail(Code::kInternal, "gRPC does not start", "ServerBuilder::BuildAndStart");
  }
  const auto fitting = Connections::Fitting(addresses.connections.total);
  if (fitting < addresses.connections.total) {
    spdlog::warn("connections.total: the limit of descriptors (RLIMIT_NOFILE) leaves room for {} connections, not {}",
                 fitting, addresses.connections.total);
  }
  const auto listed = [&policy](const std::string& peer) {
    return policy.load()->Admit(Caller::Authenticated({peer})).has_value();
  };
  if (const auto started = parts->listener->Start(*parts->server, addresses.connections, listed); !started) {
    return std::unexpected(started.error());
  }
  parts->server->GetHealthCheckService()->SetServingStatus(true);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::~Server() { Stop(std::chrono::seconds(0)); }

Status Server::RefreshTls() { return parts_->tls_listener ? parts_->tls_listener->Refresh() : Status(); }

x509::ServerContext Server::tls_context() const {
  return parts_->tls_listener ? parts_->tls_listener->server_context() : nullptr;
}

int Server::tls_port() const { return parts_->tls_listener ? parts_->tls_listener->port() : 0; }

void Server::EndConnectionsOf(const std::function<bool(const Caller&)>& condemned) {
  if (auto* connections = parts_->listener ? parts_->listener->connections() : nullptr; connections != nullptr) {
    connections->EndThoseOf([&](const std::string& peer) { return condemned(Caller::Authenticated({peer})); });
  }
}

void Server::SetServing(bool serving) { parts_->server->GetHealthCheckService()->SetServingStatus(serving); }

void Server::Stop(std::chrono::seconds grace) {
  if (parts_->server) {
    parts_->server->GetHealthCheckService()->SetServingStatus(false);
    parts_->listener->Stop();
    parts_->assertion_service.EndStreams();
    parts_->server->Shutdown(std::chrono::system_clock::now() + grace);
    parts_->server->Wait();
    parts_->server.reset();
    parts_->listener.reset();
    parts_->refusals.Stop();
  }
}

}  // namespace assertion::service
