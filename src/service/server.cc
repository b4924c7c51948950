#include "service/server.h"

#include <absl/synchronization/mutex.h>
#include <google/protobuf/stubs/common.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/mutex.h"
#include "observe/log.h"
#include "service/access_token_service.h"
#include "service/assertion_service.h"
#include "service/drain.h"
#include "service/envoy_authorization.h"
#include "service/external_jwt_server.h"
#include "service/grpc_limits.h"
#include "service/heartbeat.h"
#include "service/http_front.h"
#include "service/key_admin_service.h"
#include "service/local_listener.h"
#include "service/open_calls.h"
#include "service/peers.h"
#include "service/tls_listener.h"

namespace assertion::service {
namespace {

constexpr std::chrono::milliseconds kTick{250};
constexpr std::size_t kMib = 1U << 20;
constexpr std::size_t kMostMoreMemory = 256 * kMib;  // than at the start; then unlisted peers are disconnected
constexpr std::size_t kMostKeptMemory = 64 * kMib;   // more than at the start; then free memory is given back
constexpr std::chrono::milliseconds kLongestSweepInterval{10'000};

// Memory of this process, in octets; 0 when the kernel does not tell.
std::size_t Resident() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  statm >> all >> resident;
  return statm ? resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) : 0;
}

// Writes gRPC's own lines to our log, in its format and limited in rate, because a peer can cause most of them.
void LogForGrpc(gpr_log_func_args* line) {
  static SparingLog log;
  const auto level = line->severity == GPR_LOG_SEVERITY_DEBUG  ? spdlog::level::debug
                     : line->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::info
                                                               : spdlog::level::warn;
  log.Write(level, std::string("gRPC: ") + line->message);
}

#if GOOGLE_PROTOBUF_VERSION < 4022000  // later versions log through Abseil, and nothing that a peer sends
// The same for Protobuf, which writes a line for each message with a string that is not UTF-8.
void LogForProtobuf(google::protobuf::LogLevel /*level*/, const char* /*file*/, int /*line*/,
                    const std::string& message) {
  static SparingLog log;
  log.Write(spdlog::level::warn, "protobuf: " + message);
}
#endif

}  // namespace

struct Server::Parts {
  Parts(std::unique_ptr<LocalListener> bound, const CurrentPolicy& policy, const HsmGroup& hsms,
        const AdministeredHsms& administered, audit::Log* audit, AssertionTally* tally, Rate refused,
        tokens::AccessTokens* tokens, const ReloadOutcome* reload)
      : listener(std::move(bound)),
        policy_in_force(policy),
        refusals(refused, audit, tally),
        assertion_service(policy, hsms, *peers, awaited, {.log = audit, .refusals = &refusals}, tally),
        access_tokens(tokens),
        access_token_service(policy, hsms, tokens, *peers, awaited, {.log = audit, .refusals = &refusals}),
        envoy_authorization(policy, access_token_service, *peers, awaited),
        key_admin_service(policy, hsms, administered, *peers, awaited, {.log = audit, .refusals = &refusals}, reload) {}

  ~Parts() { StopListening(std::chrono::milliseconds(0)); }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  // Starts to accept connections. The server must run.
  Status Accept(ConnectionLimits connections) {
    connections.acceptors = 1U + (tls_listener ? 1U : 0U) + (kubernetes ? 1U : 0U) + (front ? 1U : 0U);
    if (const auto fitting = FittingConnections(connections); fitting < connections.total) {
      spdlog::warn("connections.total: the limit of descriptors (RLIMIT_NOFILE) leaves room for {} connections, not {}",
                   fitting, connections.total);
    }
    if (tls_listener) {
      RETURN_IF_ERROR(tls_listener->Start(connections));
    }
    if (kubernetes) {
      RETURN_IF_ERROR(kubernetes->Accept(connections));
    }
    if (front) {
      RETURN_IF_ERROR(front->Start(connections));
    }
    connections.handshakes = 0;  // no handshake: the kernel knows the user at once
    const auto listed = [this](const std::string& peer) {
      return policy_in_force.load()->Admit(Caller::Authenticated({peer})).has_value();
    };
    const MutexLock lock(listening);
    return listener->Start(*server, connections, listed);
  }

  std::vector<Connections*> AllConnections() const REQUIRES(listening) {
    std::vector<Connections*> all;
    for (auto* const connections :
         {listener ? listener->connections() : nullptr, tls_listener ? tls_listener->connections() : nullptr}) {
      if (connections != nullptr) {
        all.push_back(connections);
      }
    }
    return all;
  }

  void Sweep() {
    const MutexLock lock(listening);
    peers->Sweep(AllConnections(), policy_in_force.load());
  }

  // gRPC 1.51 keeps 12 KB per open call, and limits the number of calls only for clients that acknowledge its settings.
  // `at_start` is the memory that the server used before it served.
  void LimitMemory(std::size_t at_start) {
    if (Resident() < at_start + kMostMoreMemory) {
      return;
    }
    malloc_trim(0);  // memory that is free and only kept does not count
    if (const auto resident = Resident(); resident >= at_start + kMostMoreMemory) {
      const MutexLock lock(listening);
      const auto ended =
          peers->EndUnlisted(AllConnections(), *policy_in_force.load()) + (kubernetes ? kubernetes->EndStrangers() : 0);
      if (ended > 0) {
        shed.Write(spdlog::level::warn, std::to_string(ended) +
                                            " connections of unlisted peers are ended: the server has " +
                                            std::to_string(resident / kMib) + " MiB");
      }
    }
  }

  // `grace`: of requests to the HTTP front.
  void StopListening(std::chrono::milliseconds grace) {
    if (front) {
      front->StopListening(grace);
    }
    const MutexLock lock(listening);
    if (listener) {
      listener->Stop();
    }
    if (tls_listener) {
      tls_listener->Stop();
    }
    if (kubernetes) {
      kubernetes->StopListening();
    }
  }

  // After StopListening.
  void EndIdle() {
    const MutexLock lock(listening);
    for (auto* const connections : AllConnections()) {
      connections->EndIdle([](const std::string& name) { return OpenCalls::OfProcess().HasAny(name); });
    }
  }

  const std::shared_ptr<Peers> peers = std::make_shared<Peers>();
  Mutex listening;  // held while the connections of the listeners are used or end
  std::unique_ptr<LocalListener> listener GUARDED_BY(listening);
  const CurrentPolicy& policy_in_force;
  std::unique_ptr<TlsListener> tls_listener;  // null: no TCP
  Refusals refusals;
  AwaitedMessages awaited;
  AssertionService assertion_service;
  tokens::AccessTokens* const access_tokens;  // null: none are handed out
  AccessTokenService access_token_service;
  EnvoyAuthorization envoy_authorization;
  KeyAdminService key_admin_service;
  std::unique_ptr<ExternalJwtServer> kubernetes;  // null: no kube-apiserver is served
  std::unique_ptr<HttpFront> front;               // null: none
  std::unique_ptr<grpc::Server> server;
  SparingLog shed;
  Heartbeat heartbeat;
  std::jthread watch;
};

Server::Server(std::unique_ptr<Parts> parts, ConnectionLimits connections, const Limits& limits)
    : connections_(connections), limits_(limits), parts_(std::move(parts)) {}

Result<std::unique_ptr<Server>> Server::Start(Addresses addresses, const CurrentPolicy& policy, const HsmGroup& hsms,
                                              const AdministeredHsms& administered, audit::Log* audit,
                                              AssertionTally* tally, Limits limits, tokens::AccessTokens* tokens,
                                              const ReloadOutcome* reload) {
  ASSIGN_OR_RETURN(auto server,
                   Bind(std::move(addresses), policy, hsms, administered, audit, tally, limits, tokens, reload));
  RETURN_IF_ERROR(server->Accept());
  return server;
}

Result<std::unique_ptr<Server>> Server::Bind(Addresses addresses, const CurrentPolicy& policy, const HsmGroup& hsms,
                                             const AdministeredHsms& administered, audit::Log* audit,
                                             AssertionTally* tally, Limits limits, tokens::AccessTokens* tokens,
                                             const ReloadOutcome* reload) {
  gpr_set_log_function(LogForGrpc);
#if GOOGLE_PROTOBUF_VERSION < 4022000
  google::protobuf::SetLogHandler(LogForProtobuf);
#endif
  // Debian builds abseil in debug mode, in which each lock of gRPC is entered into one graph of the whole process.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  auto listener = LocalListener::Bind(addresses.socket_path, addresses.socket_group);
  if (!listener) {
    return std::unexpected(listener.error());
  }
  auto parts = std::make_unique<Parts>(std::move(*listener), policy, hsms, administered, audit, tally,
                                       addresses.refusals, tokens, reload);
  if (addresses.tls) {
    ASSIGN_OR_RETURN(const auto hsm, hsms.ByName(addresses.tls->hsm));
    ASSIGN_OR_RETURN(auto tls, TlsListener::New(std::move(*addresses.tls), *hsm, parts->peers));
    parts->tls_listener = std::move(tls);
  }
  if (addresses.kubernetes) {  // before the next two lines, which would add health and reflection to it
    ASSIGN_OR_RETURN(parts->kubernetes,
                     ExternalJwtServer::New(*addresses.kubernetes, policy, hsms, *parts->peers,
                                            {.log = audit, .refusals = &parts->refusals}, tally, limits));
  }
  if (addresses.front) {
    ASSIGN_OR_RETURN(parts->front,
                     HttpFront::Bind(*addresses.front, {.policy = policy,
                                                        .assertions = parts->assertion_service,
                                                        .access_tokens = parts->access_token_service,
                                                        .records = {.log = audit, .refusals = &parts->refusals}}));
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (parts->tls_listener) {
    RETURN_IF_ERROR(parts->tls_listener->AddTo(builder));
  }
  SetLimits(builder, limits);
  builder.RegisterService(&parts->assertion_service);
  builder.RegisterService(&parts->access_token_service);
  builder.RegisterService(&parts->envoy_authorization);
  builder.RegisterService(&parts->key_admin_service);
  parts->server = builder.BuildAndStart();
  if (!parts->server) {
    return Fail(Code::kInternal, "gRPC does not start", "ServerBuilder::BuildAndStart");
  }
  return std::unique_ptr<Server>(new Server(std::move(parts), addresses.connections, limits));
}

Status Server::Accept() {
  RETURN_IF_ERROR(parts_->Accept(connections_));
  parts_->server->GetHealthCheckService()->SetServingStatus(true);
  Watch();
  return {};
}

// Periodically ends streams and calls that exceed their time limits, and connections of removed peers.
void Server::Watch() {
  parts_->Sweep();  // remembers trust and policy before the first change
  parts_->watch = std::jthread([this, limits = limits_, at_start = Resident()](const std::stop_token& stop) {
    // Limited, because records of closed connections accumulate until the next sweep.
    const auto interval = std::min<std::chrono::milliseconds>(limits.refresh_interval, kLongestSweepInterval);
    const auto wake = std::min({interval, limits.stream_age, limits.message_wait, kTick});
    Mutex mutex;
    MutexLock lock(mutex);
    std::condition_variable_any waiting;
    auto next = std::chrono::steady_clock::now() + interval;
    while (!waiting.wait_for(lock, stop, wake, [&stop] { return stop.stop_requested(); })) {
      parts_->assertion_service.EndStreamsOlderThan(limits.stream_age, limits.message_wait);
      parts_->awaited.EndOlderThan(limits.message_wait);
      if (parts_->access_tokens != nullptr) {
        parts_->access_tokens->Sweep();
      }
      if (parts_->kubernetes) {
        parts_->kubernetes->EndCallsOlderThan(limits.message_wait);
      }
      parts_->LimitMemory(at_start);
      if (const auto now = std::chrono::steady_clock::now(); now >= next) {
        next = now + interval;
        if (parts_->tls_listener) {
          // The next Refresh reports an error.
          static_cast<void>(parts_->tls_listener->RefreshTrust());
        }
        parts_->Sweep();
        if (Resident() >= at_start + kMostKeptMemory) {
          malloc_trim(0);  // otherwise the C library keeps the memory that a flood took
        }
      }
    }
  });
}

Server::~Server() { Stop(std::chrono::seconds(0)); }

Status Server::RefreshTls() { return parts_->tls_listener ? parts_->tls_listener->Refresh() : Status(); }

x509::ServerContext Server::tls_context() const {
  return parts_->tls_listener ? parts_->tls_listener->server_context() : nullptr;
}

int Server::tls_port() const { return parts_->tls_listener ? parts_->tls_listener->port() : 0; }

void Server::EndConnectionsOfRemoved() { parts_->Sweep(); }

void Server::RemoveExpiredChanges() { parts_->key_admin_service.RemoveExpiredChanges(); }

void Server::SetServing(bool serving) { parts_->server->GetHealthCheckService()->SetServingStatus(serving); }

void Server::Stop(std::chrono::seconds grace) {
  if (parts_->server) {
    parts_->server->GetHealthCheckService()->SetServingStatus(false);
    parts_->watch = {};
    parts_->StopListening(grace);
    parts_->assertion_service.EndStreams();
    parts_->awaited.EndAll();
    if (parts_->access_tokens != nullptr) {
      parts_->access_tokens->Close();
    }
    const auto deadline = std::chrono::system_clock::now() + grace;
    Drain(*parts_->server, deadline, [this] { parts_->EndIdle(); });
    parts_->server.reset();
    parts_->front.reset();
    if (parts_->kubernetes) {
      parts_->kubernetes->Stop(deadline);
    }
    {
      const MutexLock lock(parts_->listening);
      parts_->listener.reset();
    }
    parts_->refusals.Stop();
    parts_->key_admin_service.EndRecording();
  }
}

}  // namespace assertion::service
