#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "bench/connection.h"

namespace assertion::bench {

// CreateAssertion, called as often as is asked for. A call's time counts from the moment at which it was meant to
// start: a load that comes late itself (coordinated omission) sees that in its figures.
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

  // `answered` is called for every call, on gRPC's threads, for several calls at the same time.
  Load(Stub& stub, const std::string& client_id, Seconds deadline, std::function<void(const Answer&)> answered);
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // A closed loop: keeps so many calls in flight until the time is up; each answer starts the next. It finds what the
  // service can do, and cannot overload it. Returns when all are answered, and tells how long that took.
  Seconds Keep(std::size_t in_flight, Seconds time);

  // An open loop: starts so many calls a second whatever has been answered, as many callers that know nothing of each
  // other do (exponential gaps, the same in every run). Returns when all are answered.
  void Offer(double per_second, Seconds time);

 private:
  struct Call;

  void Start(std::unique_ptr<Call> call, Clock::time_point meant);
  void Done(Call* call, const grpc::Status& status);
  void Wait();

  Stub& stub_;
  v1::CreateAssertionRequest request_;
  const Clock::duration deadline_;
  const std::function<void(const Answer&)> answered_;
  Clock::time_point repeat_until_;  // an answer before that starts the next call
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t active_ = 0;
};

}  // namespace assertion::bench
