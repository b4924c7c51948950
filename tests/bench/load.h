#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "bench/connection.h"

namespace assertion::bench {

// Assertions, asked for as often as is wanted. A request's time counts from the moment at which it was meant to start:
// a load that comes late itself (coordinated omission) sees that in its figures. One thread takes all answers: on two
// cores every switch between threads would be taken from the service.
class Load {
 public:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  struct Answer {
    Clock::time_point meant;  // to start
    Clock::time_point came;
    const grpc::Status& status;
    const v1::CreateAssertionResponse& response;

    double milliseconds() const { return Seconds(came - meant).count() * 1e3; }
  };

  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  virtual ~Load() = default;

  // A closed loop: keeps so many requests in flight until the time is up; each answer starts the next. It finds what
  // the service can do, and cannot overload it. Returns when all are answered, and tells how long that took.
  Seconds Keep(std::size_t in_flight, Seconds time);

  // An open loop: starts so many requests a second whatever has been answered, as many callers that know nothing of
  // each other do (exponential gaps, the same in every run). Returns when all are answered.
  void Offer(double per_second, Seconds time);

 protected:
  // `answered` is called for every request, on the one thread that takes the answers.
  Load(Seconds deadline, std::function<void(const Answer&)> answered);

  virtual void Start(Clock::time_point meant) = 0;

  // Of a request that was started; on the thread that takes the answers.
  void Settle(const Answer& answer);

  // Nothing is repeated any more.
  void Stop() { repeat_until_ = Clock::time_point::min(); }

  // What is left of the deadline of a request that was meant to start then.
  Clock::duration Left(Clock::time_point meant) const { return meant + deadline_ - Clock::now(); }

 private:
  void Wait();

  const Clock::duration deadline_;
  const std::function<void(const Answer&)> answered_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::atomic<Clock::time_point> repeat_until_;
  std::size_t active_ = 0;
};

// By CreateAssertion.
class UnaryLoad final : public Load {
 public:
  UnaryLoad(Stub& stub, const std::string& client_id, Seconds deadline, std::function<void(const Answer&)> answered);
  ~UnaryLoad() override;

 private:
  struct Call;

  void Start(Clock::time_point meant) override;
  void Take();

  Stub& stub_;
  v1::CreateAssertionRequest request_;
  grpc::CompletionQueue answers_;
  std::thread taker_;
};

// By CreateAssertions, all on one stream.
class StreamLoad final : public Load {
 public:
  // More must not be in flight: the service reads no more until it has been answered.
  static constexpr std::size_t kMost = 256;

  StreamLoad(Stub& stub, const std::string& client_id, Seconds deadline, std::function<void(const Answer&)> answered);
  ~StreamLoad() override;

 private:
  void Start(Clock::time_point meant) override;
  void Take();
  void TakeOne(const v1::CreateAssertionsResponse& response);
  void End();

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::CreateAssertionsRequest, v1::CreateAssertionsResponse>> stream_;
  std::mutex writing_;
  v1::CreateAssertionsRequest request_;
  std::mutex mutex_;  // not held while a write waits for the service: answers must be taken then
  std::unordered_map<std::uint64_t, Clock::time_point> meant_;  // of those without an answer, by tag
  bool ended_ = false;
  std::thread taker_;
};

}  // namespace assertion::bench
