#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "assertion/mutex.h"
#include "assertion/v1/assertion.pb.h"
#include "service/audited_call.h"
#include "signing/hsm_group.h"

namespace assertion::service {

// One call of CreateAssertions: decides when the next request is read, which answer is written next, and how the call
// ends. Lives until gRPC is done with it and every request is answered.
class AssertionStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Requests that were read and whose answers are not written yet.
  static constexpr std::size_t kMostUnanswered = 256;

  // Serves one request: calls `release` once, now or later and on any thread, with the wire form of a
  // v1::CreateAssertionsResponse or with the error. `ticket` cancels the request. Called for one request at a time.
  using Make = std::function<void(const v1::CreateAssertionsRequest& request, std::shared_ptr<AssertionTicket> ticket,
                                  AuditedCall::Release release)>;

  static std::shared_ptr<AssertionStream> Open(Make make);

  // Reads the first request.
  void Begin() { Proceed(); }

  std::chrono::steady_clock::time_point began() const { return began_; }

  // No request has arrived yet.
  bool IsSilent() const { return silent_; }

  // Stops reading, and ends the call with `why` after the answers to the requests that were read.
  void End(const grpc::Status& why);

 private:
  using Tickets = std::list<std::shared_ptr<AssertionTicket>>;

  explicit AssertionStream(Make make) : make_(std::move(make)) {}

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void StartRequest(const v1::CreateAssertionsRequest& request);
  void QueueAnswer(Tickets::iterator place, std::uint64_t tag, Result<grpc::ByteBuffer> outcome);
  void Proceed();
  std::size_t Unanswered() const REQUIRES(mutex_);

  const Make make_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::shared_ptr<AssertionStream> self_;  // until OnDone
  std::atomic<bool> silent_ = true;
  grpc::ByteBuffer read_;
  grpc::ByteBuffer written_;

  Mutex mutex_;
  Tickets unanswered_ GUARDED_BY(mutex_);
  std::deque<grpc::ByteBuffer> answers_ GUARDED_BY(mutex_);  // to be written
  bool reading_ GUARDED_BY(mutex_) = false;                  // or the request is being started
  bool writing_ GUARDED_BY(mutex_) = false;
  int starting_ GUARDED_BY(mutex_) = 0;  // threads that call StartRead or StartWrite
  bool cancelled_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ GUARDED_BY(mutex_);
};

}  // namespace assertion::service
