#include "bench/load.h"

#include <optional>
#include <random>
#include <thread>
#include <utility>

namespace assertion::bench {

struct Load::Call {
  std::optional<grpc::ClientContext> context;
  v1::CreateAssertionResponse response;
  Clock::time_point meant;
};

Load::Load(Stub& stub, const std::string& client_id, Seconds deadline, std::function<void(const Answer&)> answered)
    : stub_(stub), deadline_(std::chrono::duration_cast<Clock::duration>(deadline)), answered_(std::move(answered)) {
  request_.set_client_id(client_id);
}

Load::Seconds Load::Keep(std::size_t in_flight, Seconds time) {
  const auto begin = Clock::now();
  repeat_until_ = begin + std::chrono::duration_cast<Clock::duration>(time);
  active_ = in_flight;
  for (std::size_t i = 0; i < in_flight; ++i) {
    Start(std::make_unique<Call>(), Clock::now());
  }
  Wait();
  return Clock::now() - begin;
}

void Load::Offer(double per_second, Seconds time) {
  std::mt19937_64 random(1);  // NOLINT(bugprone-random-generator-seed): the same in every run
  std::exponential_distribution gap(per_second);
  repeat_until_ = Clock::time_point::min();
  const auto begin = Clock::now();
  for (Seconds at(gap(random)); at < time; at += Seconds(gap(random))) {
    const auto meant = begin + std::chrono::duration_cast<Clock::duration>(at);
    std::this_thread::sleep_until(meant);
    {
      const std::scoped_lock lock(mutex_);
      ++active_;
    }
    Start(std::make_unique<Call>(), meant);
  }
  Wait();
}

void Load::Start(std::unique_ptr<Call> call, Clock::time_point meant) {
  auto* own = call.release();  // until Done
  own->meant = meant;
  own->context.emplace();
  const auto left = std::chrono::duration_cast<std::chrono::system_clock::duration>(meant + deadline_ - Clock::now());
  own->context->set_deadline(std::chrono::system_clock::now() + left);
  stub_.async()->CreateAssertion(&*own->context, &request_, &own->response,
                                 [this, own](const grpc::Status& status) { Done(own, status); });
}

void Load::Done(Call* call, const grpc::Status& status) {
  std::unique_ptr<Call> own(call);
  const auto now = Clock::now();
  answered_({.meant = own->meant, .came = now, .status = status, .response = own->response});
  if (now < repeat_until_) {
    Start(std::move(own), now);
    return;
  }
  own.reset();
  const std::scoped_lock lock(mutex_);
  if (--active_ == 0) {
    idle_.notify_one();
  }
}

void Load::Wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return active_ == 0; });
}

}  // namespace assertion::bench
