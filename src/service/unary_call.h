#pragma once

#include <google/protobuf/descriptor.h>
#include <grpc/grpc.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

#include "assertion/caller.h"
#include "assertion/error.h"
#include "assertion/mutex.h"
#include "signing/hsm_group.h"

namespace assertion::service {

class UnaryCall;

// The unary calls whose headers have arrived and whose message has not, oldest first. All methods may be called from
// any thread.
class AwaitedMessages {
 public:
  // Ends calls that have waited for `age`: DEADLINE_EXCEEDED.
  void EndOlderThan(std::chrono::milliseconds age);

  // Ends all waiting and all later calls: UNAVAILABLE.
  void EndAll();

 private:
  friend class UnaryCall;
  using Instant = std::chrono::steady_clock::time_point;

  bool Add(UnaryCall& call);
  bool Remove(UnaryCall& call);
  void Unlink(UnaryCall& call) REQUIRES(mutex_);
  void End(Instant begun_before, const grpc::Status& why);

  Mutex mutex_;
  bool ending_ GUARDED_BY(mutex_) = false;
  UnaryCall* oldest_ GUARDED_BY(mutex_) = nullptr;
  UnaryCall* newest_ GUARDED_BY(mutex_) = nullptr;
};

// A unary call from its headers on. gRPC itself shows a unary call only after its message, so a call whose message
// never arrives could be ended only with its connection. Lives until gRPC is done with it.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  struct Method {
    AwaitedMessages& awaited;
    std::function<Result<Caller>(const grpc::ServerContextBase& context)> authenticate;
    // An error refuses the call at its headers: `handle` is then called without a message.
    std::function<Status(const Caller& caller)> admit;
    // Ends the call with Finish, now or later.
    std::function<void(UnaryCall& call)> handle;
  };

  // The handler that gRPC calls for the method.
  static grpc::internal::MethodHandler* NewHandler(Method method);

  grpc::CallbackServerContext& context() { return context_; }
  const grpc::ByteBuffer& request() const { return request_; }

  // The caller, and whether it is admitted, as of the arrival of the message.
  const Result<Caller>& caller() const { return caller_; }
  const Status& admitted() const { return admitted_; }

  grpc::ByteBuffer* response() { return response_; }

  // Cancelled with the call.
  const std::shared_ptr<AssertionTicket>& ticket() const { return ticket_; }

 private:
  friend class AwaitedMessages;
  class Handler;

  // gRPC's tag of the read.
  struct Arrival : grpc_completion_queue_functor {
    UnaryCall* call = nullptr;
  };

  UnaryCall(const Method& method, grpc::CallbackServerContext& context, grpc::ByteBuffer* response);

  void Begin(grpc_completion_queue* queue);
  void CheckAdmission();
  bool Read(grpc_completion_queue* queue);
  void Receive(bool at_once);
  void Release();
  void OnCancel() override { HsmGroup::Cancel(*ticket_); }
  void OnDone() override { Release(); }
  // Lets gRPC call OnCancel and OnDone on its current thread instead of waking a thread of its executor for every call:
  // neither of them blocks.
  bool InternalInlineable() override { return true; }

  const Method& method_;
  grpc::CallbackServerContext& context_;
  grpc::ByteBuffer* const response_;
  const std::shared_ptr<AssertionTicket> ticket_ = std::make_shared<AssertionTicket>();
  Result<Caller> caller_;
  Status admitted_;
  grpc::ByteBuffer request_;
  std::atomic<int> uses_ = 1;  // by gRPC: of the reactor, and of the read
  Arrival arrival_;
  grpc_byte_buffer* message_ = nullptr;

  // Used by AwaitedMessages under its mutex, which no annotation can name from here.
  AwaitedMessages::Instant since_;
  bool awaited_ = false;
  UnaryCall* older_ = nullptr;
  UnaryCall* newer_ = nullptr;
};

// A service whose unary methods are UnaryCalls. `Api` is the class that protoc generates, `Base` its implementation.
template <typename Api, typename Base>
class UnaryService : public Base {
 protected:
  void Serve(const char* method, UnaryCall::Method how) {
    const auto* const service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(Api::service_full_name());
    const int index = service->FindMethodByName(method)->index();
    this->MarkMethodStreamed(index, nullptr);  // so that gRPC shows the call at its headers
    this->MarkMethodRawCallback(index, UnaryCall::NewHandler(std::move(how)));
  }
};

}  // namespace assertion::service
