#include "service/external_jwt_server.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "assertion/mutex.h"
#include "service/drain.h"
#include "service/external_jwt_service.h"
#include "service/local_listener.h"
#include "service/open_calls.h"
#include "service/peers.h"

namespace assertion::service {

struct ExternalJwtServer::Parts {
  Parts(std::unique_ptr<LocalListener> bound, const CurrentPolicy& policy, const HsmGroup& hsms, Peers& peers,
        Records audit, AssertionTally* tally)
      : listener(std::move(bound)), policy_in_force(policy), service(policy, hsms, peers, awaited, audit, tally) {}

  bool Admits(const std::string& peer) const {
    return policy_in_force.load()->AdmitKubernetes(Caller::Authenticated({peer})).has_value();
  }

  // After the listener has stopped.
  void EndIdle() {
    const MutexLock lock(listening);
    if (auto* const connections = listener ? listener->connections() : nullptr) {
      connections->EndIdle([](const std::string& name) { return OpenCalls::OfProcess().HasAny(name); });
    }
  }

  Mutex listening;  // held while the listener's connections are used or end
  std::unique_ptr<LocalListener> listener GUARDED_BY(listening);
  const CurrentPolicy& policy_in_force;
  AwaitedMessages awaited;
  ExternalJwtService service;
  std::unique_ptr<grpc::Server> server;
};

ExternalJwtServer::ExternalJwtServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<ExternalJwtServer>> ExternalJwtServer::New(const ExternalJwtAddress& address,
                                                                  const CurrentPolicy& policy, const HsmGroup& hsms,
                                                                  Peers& peers, Records audit, AssertionTally* tally,
                                                                  const Limits& limits) {
  ASSIGN_OR_RETURN(auto listener, LocalListener::Bind(address.socket_path, address.socket_group));
  auto parts = std::make_unique<Parts>(std::move(listener), policy, hsms, peers, audit, tally);
  grpc::ServerBuilder builder;
  SetLimits(builder, limits);
  builder.RegisterService(&parts->service);
  parts->server = builder.BuildAndStart();
  if (!parts->server) {
    return Fail(Code::kInternal, "gRPC does not start", "ServerBuilder::BuildAndStart");
  }
  return std::unique_ptr<ExternalJwtServer>(new ExternalJwtServer(std::move(parts)));
}

ExternalJwtServer::~ExternalJwtServer() {
  StopListening();
  Stop(std::chrono::system_clock::now());
}

Status ExternalJwtServer::Accept(ConnectionLimits connections) {
  connections.handshakes = 0;  // no handshake: the kernel knows the user at once
  const MutexLock lock(parts_->listening);
  return parts_->listener->Start(*parts_->server, connections,
                                 [parts = parts_.get()](const std::string& peer) { return parts->Admits(peer); });
}

void ExternalJwtServer::EndCallsOlderThan(std::chrono::milliseconds age) { parts_->awaited.EndOlderThan(age); }

std::size_t ExternalJwtServer::EndStrangers() {
  const MutexLock lock(parts_->listening);
  auto* const connections = parts_->listener ? parts_->listener->connections() : nullptr;
  return connections == nullptr
             ? 0
             : connections->EndThoseOf([this](const std::string& peer) { return !parts_->Admits(peer); });
}

void ExternalJwtServer::StopListening() {
  const MutexLock lock(parts_->listening);
  if (parts_->listener) {
    parts_->listener->Stop();
  }
  parts_->awaited.EndAll();
}

void ExternalJwtServer::Stop(std::chrono::system_clock::time_point deadline) {
  if (parts_->server) {
    Drain(*parts_->server, deadline, [this] { parts_->EndIdle(); });
    parts_->server.reset();
    const MutexLock lock(parts_->listening);
    parts_->listener.reset();
  }
}

}  // namespace assertion::service
