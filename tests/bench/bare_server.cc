// gRPC alone: what any server could reach that signs on two threads and answers in batches. Answers CreateAssertion and
// CreateAssertions with a text of an assertion's length, after using the processor for as long as the client_id of the
// request says, in microseconds. No policy, no token, no verification, no audit log.

#include <grpcpp/grpcpp.h>
#include <sched.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/v1/assertion.grpc.pb.h"
#include "service/heartbeat.h"

namespace assertion::bench {
namespace {

using Work = std::move_only_function<void()>;
using std::chrono::microseconds;

// Work for some threads. With `gather` each takes what has come together: that many, or fewer after 2 ms.
class Line {
 public:
  explicit Line(std::size_t gather) : gather_(gather) {}

  void Push(Work work) {
    {
      const std::scoped_lock lock(mutex_);
      waiting_.push_back(std::move(work));
    }
    filled_.notify_one();
  }

  std::vector<Work> Take() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [this] { return !waiting_.empty(); });
    if (gather_ > 1) {
      filled_.wait_for(lock, microseconds(2000), [this] { return waiting_.size() >= gather_; });
    }
    std::vector<Work> taken;
    for (; !waiting_.empty() && taken.size() < gather_; waiting_.pop_front()) {
      taken.push_back(std::move(waiting_.front()));
    }
    return taken;
  }

 private:
  const std::size_t gather_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Work> waiting_;
};

microseconds ThreadTime() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::duration_cast<microseconds>(std::chrono::seconds(now.tv_sec) +
                                                  std::chrono::nanoseconds(now.tv_nsec));
}

void UseProcessor(microseconds time) {
  std::minstd_rand some;  // a few microseconds of it between one look at the clock and the next
  for (const auto end = ThreadTime() + time; ThreadTime() < end; some.discard(1000)) {
  }
}

// Two threads that "sign", and one that answers what they have done, as assertiond's audit log does.
struct Threads {
  Line signing{1};
  Line answering{16};
  std::vector<std::thread> all;

  Threads() {
    for (auto* line : {&signing, &signing, &answering}) {
      all.emplace_back([line] {
        for (;;) {
          for (auto& work : line->Take()) {
            work();
          }
        }
      });
    }
  }

  void Sign(const std::string& client_id, Work answer) {
    signing.Push([this, time = microseconds(std::atol(client_id.c_str())), answer = std::move(answer)]() mutable {
      UseProcessor(time);
      answering.Push(std::move(answer));
    });
  }
};

void Fill(v1::CreateAssertionResponse& response) {
  constexpr std::size_t kOctets = 800;
  response.set_assertion(std::string(kOctets, 'x'));
}

class Unary final : public grpc::ServerUnaryReactor {
 public:
  void OnDone() override { delete this; }
  bool InternalInlineable() override { return true; }
};

class Stream final : public grpc::ServerBidiReactor<v1::CreateAssertionsRequest, v1::CreateAssertionsResponse> {
 public:
  explicit Stream(Threads& threads) : threads_(threads) { StartRead(&read_); }

  void OnReadDone(bool ok) override {
    {
      const std::scoped_lock lock(mutex_);
      open_ += ok ? 1 : 0;
      ended_ = !ok;
    }
    if (ok) {
      threads_.Sign(read_.assertion().client_id(), [this, tag = read_.tag()] { Answer(tag); });
      StartRead(&read_);
    } else {
      Proceed();
    }
  }

  void OnWriteDone(bool /*ok*/) override {
    {
      const std::scoped_lock lock(mutex_);
      writing_ = false;
      --open_;
    }
    Proceed();
  }

  void OnDone() override { delete this; }

 private:
  void Answer(std::uint64_t tag) {
    v1::CreateAssertionsResponse answer;
    answer.set_tag(tag);
    Fill(*answer.mutable_assertion());
    {
      const std::scoped_lock lock(mutex_);
      answers_.push_back(std::move(answer));
    }
    Proceed();
  }

  void Proceed() {
    {
      const std::scoped_lock lock(mutex_);
      if (writing_ || finished_ || (answers_.empty() && !(ended_ && open_ == 0))) {
        return;
      }
      finished_ = answers_.empty();
      if (!finished_) {
        writing_ = true;
        written_ = std::move(answers_.front());
        answers_.pop_front();
        grpc::WriteOptions options;
        if (!answers_.empty()) {
          options.set_buffer_hint();  // they leave together
        }
        StartWrite(&written_, options);
        return;
      }
    }
    Finish(grpc::Status::OK);
  }

  Threads& threads_;
  v1::CreateAssertionsRequest read_;
  v1::CreateAssertionsResponse written_;
  std::mutex mutex_;
  std::deque<v1::CreateAssertionsResponse> answers_;
  std::size_t open_ = 0;
  bool writing_ = false;
  bool ended_ = false;
  bool finished_ = false;
};

class Service final : public v1::AssertionService::CallbackService {
 public:
  explicit Service(Threads& threads) : threads_(threads) {}

  grpc::ServerUnaryReactor* CreateAssertion(grpc::CallbackServerContext* /*context*/,
                                            const v1::CreateAssertionRequest* request,
                                            v1::CreateAssertionResponse* response) override {
    auto* reactor = new Unary;  // until OnDone
    threads_.Sign(request->client_id(), [reactor, response] {
      Fill(*response);
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

  grpc::ServerBidiReactor<v1::CreateAssertionsRequest, v1::CreateAssertionsResponse>* CreateAssertions(
      grpc::CallbackServerContext* /*context*/) override {
    return new Stream(threads_);  // until OnDone
  }

 private:
  Threads& threads_;
};

}  // namespace
}  // namespace assertion::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bare_server unix:/PATH\n", stderr);
    return 2;
  }
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);  // as assertiond is scheduled
  assertion::bench::Threads threads;
  assertion::bench::Service service(threads);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[1], grpc::experimental::LocalServerCredentials(UDS));
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) {
    std::_Exit(1);  // the threads never end
  }
  const assertion::service::Heartbeat heartbeat;
  std::puts("serving");
  std::fflush(stdout);
  server->Wait();
}
