#include "service/unary_call.h"

#include <grpc/byte_buffer.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include <atomic>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "service/large_message.h"
#include "service/open_calls.h"

namespace assertion::service {
namespace {

// Events of gRPC that a thread took from the queue together with the one that it looked for. Run handles them as gRPC
// would: one after the other, never nested.
class TakenEvents {
 public:
  void Add(void* tag, int ok) { events_.emplace_back(static_cast<grpc_completion_queue_functor*>(tag), ok); }

  void Run() {
    if (std::exchange(running_, true)) {
      return;  // called by one of the events
    }
    while (!events_.empty()) {
      const auto [event, ok] = events_.front();
      events_.pop_front();
      event->functor_run(event, ok);
    }
    running_ = false;
  }

 private:
  std::deque<std::pair<grpc_completion_queue_functor*, int>> events_;
  bool running_ = false;
};

thread_local TakenEvents taken_events;

// The ticket of a call with its place on the connection, which is taken as long as gRPC or the HSM is at work for it.
struct PlacedTicket : AssertionTicket {
  explicit PlacedTicket(const grpc::ServerContextBase& context) : place(OpenCalls::OfProcess(), context.peer()) {}

  const OpenCalls::Place place;
};

Result<Caller> CallerOf(const UnaryCall::Method& method, const AssertionTicket& ticket,
                        const grpc::ServerContextBase& context) {
  RETURN_IF_ERROR(static_cast<const PlacedTicket&>(ticket).place.CheckLimit());
  return method.authenticate(context);
}

// Why gRPC itself ends a call whose message arrives: nothing is decompressed (grpc_limits.cc), so there is no other
// reason. Such a call does not know its peer any more.
Status TooLarge() {
  return Fail(Code::kResourceExhausted,
              "the message is larger than " + std::to_string(kLargestMessage >> 10U) + " KiB");
}

}  // namespace

// Starts gRPC's own handler of unary calls without a message.
class UnaryCall::Handler final : public grpc::internal::MethodHandler {
 public:
  explicit Handler(Method method)
      : method_(std::move(method)),
        unary_(
            [this](grpc::CallbackServerContext* context, const grpc::ByteBuffer* /*none*/, grpc::ByteBuffer* response) {
              auto* const call = new UnaryCall(method_, *context, response);  // until Release
              call->Begin(queue_);
              return call;
            }) {}

  void RunHandler(const HandlerParameter& given) override {
    grpc::Status status;
    void* holder = nullptr;
    queue_ = given.call->cq()->cq();
    void* const request = unary_.Deserialize(given.call->call(), nullptr, &status, &holder);
    unary_.RunHandler({given.call, given.server_context, request, status, holder, given.call_requester});
    taken_events.Run();
  }

 private:
  const Method method_;
  std::atomic<grpc_completion_queue*> queue_ = nullptr;  // gRPC has one queue for all calls
  grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer> unary_;
};

grpc::internal::MethodHandler* UnaryCall::NewHandler(Method method) { return new Handler(std::move(method)); }

UnaryCall::UnaryCall(const Method& method, grpc::CallbackServerContext& context, grpc::ByteBuffer* response)
    : method_(method),
      context_(context),
      response_(response),
      ticket_(std::make_shared<PlacedTicket>(context)),
      caller_(CallerOf(method, *ticket_, context)) {  // 1 caller (deploy/docs/data-way.md)
  arrival_.call = this;
  arrival_.inlineable = 1;
  arrival_.functor_run = [](grpc_completion_queue_functor* arrival, int ok) {
    auto& call = *static_cast<Arrival*>(arrival)->call;
    call.admitted_ = ok != 0 ? Status() : TooLarge();
    call.Receive(/*at_once=*/false);
  };
}

void UnaryCall::Begin(grpc_completion_queue* queue) {
  CheckAdmission();
  if (!admitted_) {
    method_.handle(*this);
  } else if (!method_.awaited.Add(*this)) {
    Finish({grpc::StatusCode::UNAVAILABLE, "the server is stopping: ask another, or later"});
  } else if (Read(queue)) {
    Receive(/*at_once=*/true);
  }
}

void UnaryCall::CheckAdmission() { admitted_ = caller_ ? method_.admit(*caller_) : std::unexpected(caller_.error()); }

// Starts the read. True: the message is there already, as it nearly always is, and this thread has taken its event, so
// that gRPC need not wake another thread.
bool UnaryCall::Read(grpc_completion_queue* queue) {
  ++uses_;
  grpc_op read{};
  read.op = GRPC_OP_RECV_MESSAGE;
  read.data.recv_message.recv_message = &message_;
  grpc_completion_queue_thread_local_cache_init(queue);
  const auto started = grpc_call_start_batch(context_.c_call(), &read, 1, &arrival_, nullptr);
  void* tag = nullptr;
  int ok = 0;
  const bool taken = grpc_completion_queue_thread_local_cache_flush(queue, &tag, &ok) != 0;
  const bool arrived = taken && tag == &arrival_;
  if (taken && !arrived) {
    taken_events.Add(tag, ok);
  }
  if (arrived && ok == 0) {
    admitted_ = TooLarge();
  }
  return arrived || started != GRPC_CALL_OK;
}

// Called when the message has arrived, or cannot arrive.
void UnaryCall::Receive(bool at_once) {
  auto* const message = std::exchange(message_, nullptr);
  if (method_.awaited.Remove(*this)) {
    if (!at_once && admitted_) {
      caller_ = method_.authenticate(context_);  // 1 caller, again: its certificate may have been revoked meanwhile
      CheckAdmission();
    }
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
  const MutexLock lock(mutex_);
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

void AwaitedMessages::Unlink(UnaryCall& call) {
  (call.older_ == nullptr ? oldest_ : call.older_->newer_) = call.newer_;
  (call.newer_ == nullptr ? newest_ : call.newer_->older_) = call.older_;
  call.older_ = nullptr;
  call.newer_ = nullptr;
  call.awaited_ = false;
}

// False: the call was ended.
bool AwaitedMessages::Remove(UnaryCall& call) {
  const MutexLock lock(mutex_);
  if (!call.awaited_) {
    return false;
  }
  Unlink(call);
  return true;
}

void AwaitedMessages::End(Instant begun_before, const grpc::Status& why) {
  std::vector<UnaryCall*> ended;  // each lives until Finish
  {
    const MutexLock lock(mutex_);
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
      {grpc::StatusCode::DEADLINE_EXCEEDED, "the call's message did not arrive in time after its headers"});
}

void AwaitedMessages::EndAll() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
  }
  End(Instant::max(), {grpc::StatusCode::UNAVAILABLE, "the server is stopping: ask another, or later"});
}

}  // namespace assertion::service
