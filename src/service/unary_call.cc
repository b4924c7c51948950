#include "service/unary_call.h"

#include <grpc/byte_buffer.h>
#include <grpcpp/grpcpp.h>

#include <span>
#include <utility>
#include <vector>

namespace assertion::service {

// Makes gRPC's own handler of unary calls begin without a message.
class UnaryCall::Handler final : public grpc::internal::MethodHandler {
 public:
  explicit Handler(Method method)
      : method_(std::move(method)),
        unary_(
            [this](grpc::CallbackServerContext* context, const grpc::ByteBuffer* /*none*/, grpc::ByteBuffer* response) {
              auto* const call = new UnaryCall(method_, *context, response);  // until Release
              call->Begin();
              return call;
            }) {}

  void RunHandler(const HandlerParameter& given) override {
    grpc::Status status;
    void* holder = nullptr;
    void* const request = unary_.Deserialize(given.call->call(), nullptr, &status, &holder);
    unary_.RunHandler({given.call, given.server_context, request, status, holder, given.call_requester});
  }

 private:
  const Method method_;
  grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer> unary_;
};

grpc::internal::MethodHandler* UnaryCall::NewHandler(Method method) { return new Handler(std::move(method)); }

UnaryCall::UnaryCall(const Method& method, grpc::CallbackServerContext& context, grpc::ByteBuffer* response)
    : method_(method), context_(context), response_(response) {
  arrival_.call = this;
  arrival_.inlineable = 1;
  arrival_.functor_run = [](grpc_completion_queue_functor* arrival, int /*ok*/) {
    static_cast<Arrival*>(arrival)->call->Receive();
  };
}

void UnaryCall::Begin() {
  if (method_.is_stranger(context_)) {
    method_.handle(*this);
  } else if (method_.awaited.Add(*this)) {
    Read();
  } else {
    Finish({grpc::StatusCode::UNAVAILABLE, "the server is stopping: ask another, or later"});
  }
}

void UnaryCall::Read() {
  ++uses_;
  grpc_op read{};
  read.op = GRPC_OP_RECV_MESSAGE;
  read.data.recv_message.recv_message = &message_;
  if (grpc_call_start_batch(context_.c_call(), &read, 1, &arrival_, nullptr) != GRPC_CALL_OK) {
    Receive();  // as if the caller had gone
  }
}

// The message has come, or will not come.
void UnaryCall::Receive() {
  auto* const message = std::exchange(message_, nullptr);
  if (method_.awaited.Remove(*this)) {
    if (message != nullptr) {
      std::vector<grpc::Slice> slices;
      for (const auto& slice : std::span(message->data.raw.slice_buffer.slices, message->data.raw.slice_buffer.count)) {
        slices.emplace_back(slice, grpc::Slice::ADD_REF);
      }
      request_ = grpc::ByteBuffer(slices.data(), slices.size());
    }
    if (message == nullptr && grpc_call_failed_before_recv_message(context_.c_call()) != 0) {
      Finish({grpc::StatusCode::CANCELLED, "the caller has cancelled the call"});
    } else {
      method_.handle(*this);
    }
  }
  grpc_byte_buffer_destroy(message);
  Release();
}

void UnaryCall::Release() {
  if (--uses_ == 0) {
    delete this;
  }
}

bool AwaitedMessages::Add(UnaryCall& call) {
  const std::lock_guard lock(mutex_);
  if (ending_) {
    return false;
  }
  call.since_ = std::chrono::steady_clock::now();
  call.awaited_ = true;
  call.older_ = newest_;
  (newest_ == nullptr ? oldest_ : newest_->newer_) = &call;
  newest_ = &call;
  return true;
}

// With the lock.
void AwaitedMessages::Unlink(UnaryCall& call) {
  (call.older_ == nullptr ? oldest_ : call.older_->newer_) = call.newer_;
  (call.newer_ == nullptr ? newest_ : call.newer_->older_) = call.older_;
  call.older_ = nullptr;
  call.newer_ = nullptr;
  call.awaited_ = false;
}

// False: it was ended.
bool AwaitedMessages::Remove(UnaryCall& call) {
  const std::lock_guard lock(mutex_);
  if (!call.awaited_) {
    return false;
  }
  Unlink(call);
  return true;
}

void AwaitedMessages::End(Instant begun_before, const grpc::Status& why) {
  std::vector<UnaryCall*> ended;  // each lives until it is finished
  {
    const std::lock_guard lock(mutex_);
    while (oldest_ != nullptr && oldest_->since_ <= begun_before) {
      ended.push_back(oldest_);
      Unlink(*oldest_);
    }
  }
  for (auto* const call : ended) {
    call->Finish(why);
  }
}

void AwaitedMessages::EndOlderThan(std::chrono::milliseconds age) {
  End(std::chrono::steady_clock::now() - age,
      {grpc::StatusCode::DEADLINE_EXCEEDED, "the call's message did not come in time after its headers"});
}

void AwaitedMessages::EndAll() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  End(Instant::max(), {grpc::StatusCode::UNAVAILABLE, "the server is stopping: ask another, or later"});
}

}  // namespace assertion::service
