// What GetAccessToken costs when the token is in memory: calls of a running assertiond in turns with an empty call of
// the same server (grpc.health.v1.Health/Check) over the same connection. With --first: how long one call takes.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/types.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "assertion/v1/access_token.pb.h"
#include "assertion/v1/assertion.pb.h"
#include "bench/connection.h"
#include "bench/process.h"
#include "bench/quantile.h"

namespace assertion::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Method {
  std::string path;
  std::string request;  // serialized
};

// What a turn of one kind of call came to.
struct Turn {
  double per_second = 0;
  double server_us = 0;  // processor time for each call
  double caller_us = 0;
};

using Channels = std::vector<std::shared_ptr<grpc::Channel>>;

// One kind of call, answered on the calling thread. The connections take turns. Answers are not parsed.
class Caller {
 public:
  Caller(const Channels& channels, Method method)
      : stubs_(channels.begin(), channels.end()), method_(std::move(method)), request_(Buffer(method_.request)) {}

  // Keeps so many in flight until the time is up.
  Turn Keep(std::size_t in_flight, Seconds time, pid_t server) {
    const auto used = server == 0 ? Seconds(0) : CpuTime(server);
    const auto used_here = CpuTime(getpid());
    const auto began = Clock::now();
    const auto end = began + time;
    std::size_t answered = 0;
    for (std::size_t i = 0; i < in_flight; ++i) {
      Start();
    }
    for (std::size_t running = in_flight; running > 0; --running, ++answered) {
      Take();
      if (Clock::now() < end) {
        Start();
        ++running;
      }
    }
    const auto calls = static_cast<double>(answered);
    return {.per_second = calls / Seconds(Clock::now() - began).count(),
            .server_us = server == 0 ? 0 : (CpuTime(server) - used).count() / calls * 1e6,
            .caller_us = (CpuTime(getpid()) - used_here).count() / calls * 1e6};
  }

  // One call, in milliseconds.
  double Once() {
    const auto began = Clock::now();
    Start();
    Take();
    return Seconds(Clock::now() - began).count() * 1e3;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer answer;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
  };

  static grpc::ByteBuffer Buffer(const std::string& text) {
    const grpc::Slice slice(text);
    return {&slice, 1};
  }

  void Start() {
    constexpr std::chrono::seconds kDeadline(30);
    auto call = std::make_unique<Call>();
    call->context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    call->context.set_wait_for_ready(true);
    call->reader = stubs_[next_++ % stubs_.size()].PrepareUnaryCall(&call->context, method_.path, request_, &queue_);
    call->reader->StartCall();
    auto* const started = call.release();  // Take owns it
    started->reader->Finish(&started->answer, &started->status, started);
  }

  void Take() {
    void* tag = nullptr;
    bool ok = false;
    if (!queue_.Next(&tag, &ok)) {
      throw std::runtime_error("no call is under way");
    }
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    if (!call->status.ok()) {
      throw std::runtime_error(method_.path + ": " + call->status.error_message());
    }
  }

  std::vector<grpc::GenericStub> stubs_;
  std::size_t next_ = 0;  // of stubs_
  grpc::CompletionQueue queue_;
  const Method method_;
  const grpc::ByteBuffer request_;
};

Method GetAccessToken(const std::string& client_id) {
  v1::GetAccessTokenRequest request;
  request.set_client_id(client_id);
  return {.path = "/assertion.v1.AccessTokenService/GetAccessToken", .request = request.SerializeAsString()};
}

Method CreateAssertion(const std::string& client_id) {
  v1::CreateAssertionRequest request;
  request.set_client_id(client_id);
  return {.path = "/assertion.v1.AssertionService/CreateAssertion", .request = request.SerializeAsString()};
}

Method Empty() { return {.path = "/grpc.health.v1.Health/Check", .request = {}}; }

struct Options {
  std::string listen;
  std::string client_id = "orders";
  std::size_t in_flight = 64;
  std::size_t connections = 1;
  int rounds = 7;
  double seconds = 1;
  pid_t server = 0;  // 0: its processor time is not looked at
  bool first = false;
  std::string json;
};

// The median of nine calls.
double Median(const std::function<double()>& call) {
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    times.push_back(call());
  }
  return Quantile(times, 0.5);
}

void RunFirst(const Options& options) {
  const auto first = Caller({OpenLocally(options.listen)}, GetAccessToken(options.client_id)).Once();
  const auto connection = Median([&] { return Caller({OpenLocally(options.listen)}, Empty()).Once(); });
  Caller assertions({OpenLocally(options.listen)}, CreateAssertion(options.client_id));
  assertions.Once();  // connects
  std::printf("%.2f %.2f %.2f\n", first, Median([&] { return assertions.Once(); }), connection);
}

double Middle(const std::vector<Turn>& turns, double Turn::* figure) {
  std::vector<double> values;
  values.reserve(turns.size());
  for (const auto& turn : turns) {
    values.push_back(turn.*figure);
  }
  return Quantile(values, 0.5);
}

void RunRounds(const Options& options) {
  Channels channels;
  for (std::size_t i = 0; i < options.connections; ++i) {
    channels.push_back(OpenLocally(options.listen));
  }
  Caller tokens(channels, GetAccessToken(options.client_id));
  Caller empty(channels, Empty());
  for (std::size_t i = 0; i < options.connections; ++i) {
    empty.Once();  // connects
  }
  tokens.Once();  // buys it
  std::vector<Turn> turns;
  std::vector<Turn> empty_turns;
  std::vector<double> ratios;
  for (int round = 0; round < options.rounds; ++round) {
    turns.push_back(tokens.Keep(options.in_flight, Seconds(options.seconds), options.server));
    empty_turns.push_back(empty.Keep(options.in_flight, Seconds(options.seconds), options.server));
    ratios.push_back(turns.back().per_second / empty_turns.back().per_second);
  }
  std::printf(
      "%zu in flight on %zu connections: GetAccessToken %.0f/s, an empty call %.0f/s, ratio %.2f (%.2f to %.2f)\n",
      options.in_flight, options.connections, Middle(turns, &Turn::per_second), Middle(empty_turns, &Turn::per_second),
      Quantile(ratios, 0.5), Quantile(ratios, 0), Quantile(ratios, 1));
  if (options.server != 0) {
    std::printf(
        "processor time of a call: GetAccessToken %.1f us in the server, %.1f us in the caller; an empty call "
        "%.1f us, %.1f us\n",
        Middle(turns, &Turn::server_us), Middle(turns, &Turn::caller_us), Middle(empty_turns, &Turn::server_us),
        Middle(empty_turns, &Turn::caller_us));
  }
  if (!options.json.empty()) {
    std::ofstream(options.json) << nlohmann::json({{"tokens_per_second", Middle(turns, &Turn::per_second)},
                                                   {"empty_per_second", Middle(empty_turns, &Turn::per_second)},
                                                   {"ratio", Quantile(ratios, 0.5)},
                                                   {"server_us", Middle(turns, &Turn::server_us)},
                                                   {"caller_us", Middle(turns, &Turn::caller_us)},
                                                   {"empty_server_us", Middle(empty_turns, &Turn::server_us)},
                                                   {"empty_caller_us", Middle(empty_turns, &Turn::caller_us)}})
                                       .dump(2)
                                << '\n';
  }
}

}  // namespace
}  // namespace assertion::bench

int main(int argc, char** argv) {
  assertion::bench::Options options;
  CLI::App app{"Compares GetAccessToken from memory with an empty call of the same assertiond, which must be running."};
  app.add_option("--listen", options.listen, "unix:/PATH of assertiond")->required();
  app.add_option("--client-id", options.client_id, "whose token to ask for")->capture_default_str();
  app.add_option("--in-flight", options.in_flight, "calls under way")->capture_default_str();
  app.add_option("--connections", options.connections, "that they share")->capture_default_str();
  app.add_option("--rounds", options.rounds, "how often the two take turns")->capture_default_str();
  app.add_option("--seconds", options.seconds, "length of a turn")->capture_default_str();
  app.add_option("--server", options.server, "process id of assertiond: prints the processor time of a call as well");
  app.add_flag("--first", options.first,
               "time one GetAccessToken, then the medians of nine CreateAssertion and of nine empty calls that each "
               "open a connection: prints the three in milliseconds");
  app.add_option("--json", options.json, "file for the figures");
  CLI11_PARSE(app, argc, argv);
  try {
    options.first ? assertion::bench::RunFirst(options) : assertion::bench::RunRounds(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "access_token_bench: %s\n", error.what());
    return 1;
  }
}
