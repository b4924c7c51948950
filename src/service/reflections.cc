#include "service/reflections.h"

#include <grpcpp/server_context.h>

#include <optional>
#include <string_view>
#include <utility>

#include "service/local_listener.h"

namespace assertion::service {
namespace {

// The user of this machine, or the address without its port.
std::string NameOf(const std::string& peer) {
  const auto user = LocalListener::UserOf(peer);
  return user ? "uid:" + std::to_string(*user) : peer.substr(0, peer.rfind(':'));
}

}  // namespace

class Reflections::Visit final : public grpc::experimental::Interceptor {
 public:
  Visit(std::shared_ptr<Reflections> all, grpc::ServerContextBase& context) : all_(std::move(all)), context_(context) {}
  ~Visit() override {
    if (peer_) {
      all_->Remove(*peer_);
    }
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using Point = grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(Point::POST_RECV_INITIAL_METADATA)) {
      auto peer = NameOf(context_.peer());
      if (all_->Add(peer)) {
        peer_ = std::move(peer);
      } else {
        context_.TryCancel();
      }
    }
    methods->Proceed();
  }

 private:
  const std::shared_ptr<Reflections> all_;
  grpc::ServerContextBase& context_;
  std::optional<std::string> peer_;  // that is counted
};

class Reflections::Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    const std::string_view method(info->method() == nullptr ? "" : info->method());
    return method.starts_with("/grpc.reflection.") ? new Visit(all_, *info->server_context()) : nullptr;
  }

 private:
  const std::shared_ptr<Reflections> all_ = std::make_shared<Reflections>();
};

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> Reflections::NewFactory() {
  return std::make_unique<Factory>();
}

bool Reflections::Add(const std::string& peer) {
  const MutexLock lock(mutex_);
  const auto found = open_.find(peer);
  if (found != open_.end() && found->second >= kMostOfOne) {
    return false;
  }
  ++open_[peer];
  return true;
}

void Reflections::Remove(const std::string& peer) {
  const MutexLock lock(mutex_);
  if (const auto found = open_.find(peer); --found->second == 0) {
    open_.erase(found);
  }
}

}  // namespace assertion::service
