#include "bench/load.h"

#include <optional>
#include <random>
#include <utility>

#include "google/rpc/status.pb.h"

namespace assertion::bench {

Load::Load(Seconds deadline, std::function<void(const Answer&)> answered)
    : deadline_(std::chrono::duration_cast<Clock::duration>(deadline)), answered_(std::move(answered)) {}

Load::Seconds Load::Keep(std::size_t in_flight, Seconds time) {
  const auto begin = Clock::now();
  repeat_until_ = begin + std::chrono::duration_cast<Clock::duration>(time);
  active_ = in_flight;
  for (std::size_t i = 0; i < in_flight; ++i) {
    Start(Clock::now());
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
    Start(meant);
  }
  Wait();
}

void Load::Settle(const Answer& answer) {
  answered_(answer);
  if (answer.came < repeat_until_.load()) {
    Start(answer.came);
    return;
  }
  const std::scoped_lock lock(mutex_);
  if (--active_ == 0) {
    idle_.notify_one();
  }
}

void Load::Wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return active_ == 0; });
}

struct UnaryLoad::Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::CreateAssertionResponse>> reader;
  v1::CreateAssertionResponse response;
  grpc::Status status;
  Clock::time_point meant;
};

UnaryLoad::UnaryLoad(Stub& stub, const std::string& client_id, Seconds deadline,
                     std::function<void(const Answer&)> answered)
    : Load(deadline, std::move(answered)), stub_(stub) {
  request_.set_client_id(client_id);
  taker_ = std::thread([this] { Take(); });
}

UnaryLoad::~UnaryLoad() {
  answers_.Shutdown();
  taker_.join();
}

void UnaryLoad::Start(Clock::time_point meant) {
  auto* call = new Call;  // until Take
  call->meant = meant;
  call->context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::duration_cast<std::chrono::system_clock::duration>(Left(meant)));
  call->reader = stub_.AsyncCreateAssertion(&call->context, request_, &answers_);
  call->reader->Finish(&call->response, &call->status, call);
}

void UnaryLoad::Take() {
  void* tag = nullptr;
  bool ok = false;
  while (answers_.Next(&tag, &ok)) {
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    Settle({.meant = call->meant, .came = Clock::now(), .status = call->status, .response = call->response});
  }
}

StreamLoad::StreamLoad(Stub& stub, const std::string& client_id, Seconds deadline,
                       std::function<void(const Answer&)> answered)
    : Load(deadline, std::move(answered)), stream_(stub.CreateAssertions(&context_)) {
  request_.mutable_assertion()->set_client_id(client_id);
  taker_ = std::thread([this] { Take(); });
}

StreamLoad::~StreamLoad() {
  {
    const std::scoped_lock lock(writing_);
    stream_->WritesDone();
  }
  taker_.join();
}

void StreamLoad::Start(Clock::time_point meant) {
  constexpr std::int64_t kNanosInSecond = 1'000'000'000;
  const std::scoped_lock lock(writing_);
  const auto tag = request_.tag() + 1;
  request_.set_tag(tag);
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(Left(meant)).count();
  request_.mutable_timeout()->set_seconds(left / kNanosInSecond);
  request_.mutable_timeout()->set_nanos(static_cast<int>(left % kNanosInSecond));
  bool ended = false;
  {
    const std::scoped_lock map_lock(mutex_);
    meant_.emplace(tag, meant);
    ended = ended_;
  }
  if (ended) {
    End();
  } else {
    stream_->Write(request_);  // when it fails the stream is at its end, which Take sees
  }
}

void StreamLoad::Take() {
  v1::CreateAssertionsResponse response;
  while (stream_->Read(&response)) {
    TakeOne(response);
  }
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  End();
}

void StreamLoad::TakeOne(const v1::CreateAssertionsResponse& response) {
  const auto now = Clock::now();
  Clock::time_point meant;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = meant_.find(response.tag());
    if (found == meant_.end()) {
      return;  // no answer of ours: what it should have answered stays open, and is told at the end
    }
    meant = found->second;
    meant_.erase(found);
  }
  const auto& error = response.error();
  const grpc::Status status = response.has_error() ? grpc::Status(static_cast<grpc::StatusCode>(error.code()),
                                                                  error.message(), error.SerializeAsString())
                                                   : grpc::Status::OK;
  Settle({.meant = meant, .came = now, .status = status, .response = response.assertion()});
}

// The stream has ended before its time, or with nothing open: what is open is answered with that.
void StreamLoad::End() {
  Stop();
  std::unordered_map<std::uint64_t, Clock::time_point> open;
  {
    const std::scoped_lock lock(mutex_);
    open.swap(meant_);
  }
  const grpc::Status status(grpc::StatusCode::UNAVAILABLE, "the stream has ended");
  for (const auto& [tag, meant] : open) {
    Settle({.meant = meant, .came = Clock::now(), .status = status, .response = {}});
  }
}

}  // namespace assertion::bench
