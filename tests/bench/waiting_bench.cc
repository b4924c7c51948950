// What a call that waits for the HSM costs in memory: keeps calls without an answer at a running assertiond, whose
// token must be slow, and compares what the process then holds with what it held when each connection had been used
// once.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/connection.h"
#include "bench/load.h"
#include "bench/process.h"

namespace assertion::bench {
namespace {

constexpr std::size_t kCallsOfConnection = 100;  // assertiond's limit of streams
constexpr Load::Seconds kDeadline(900);  // the server may count with one session at first: 4096 calls of 100 ms each

struct Connection {
  std::unique_ptr<Stub> stub;
  std::unique_ptr<UnaryLoad> load;
};

// Starts the calls of all connections, and calls `meanwhile` while none has been answered.
void Keep(std::vector<Connection>& connections, std::size_t calls, const std::function<void()>& meanwhile) {
  std::vector<std::jthread> threads;
  for (auto& connection : connections) {
    const auto some = std::min(calls, kCallsOfConnection);
    calls -= some;
    threads.emplace_back([&connection, some] { connection.load->Keep(some, Load::Seconds(0)); });
  }
  meanwhile();
}

int Run(const std::string& listen, const std::string& client_id, pid_t server, std::size_t calls) {
  std::atomic<std::size_t> answered = 0;
  std::atomic<bool> failed = false;
  const auto note = [&](const Load::Answer& answer) {
    ++answered;
    if (!answer.status.ok() && !failed.exchange(true)) {
      std::fprintf(stderr, "waiting_bench: %s\n", answer.status.error_message().c_str());
    }
  };
  std::vector<Connection> connections((calls + kCallsOfConnection - 1) / kCallsOfConnection);
  for (auto& connection : connections) {
    connection.stub = ConnectLocally(listen);
    connection.load = std::make_unique<UnaryLoad>(*connection.stub, client_id, kDeadline, note);
    connection.load->Keep(1, Load::Seconds(0));
  }
  const auto before = MemoryOf(server).resident;
  answered = 0;
  std::size_t while_waiting = 0;
  std::size_t waiting = 0;
  Keep(connections, calls, [&] {
    // Memory grows while calls arrive; the first answers come when all are there, or the token is not slow enough.
    while (answered < calls / 8 && !failed) {
      while_waiting = std::max(while_waiting, MemoryOf(server).resident);
      waiting = calls - answered;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  if (failed) {
    return 1;
  }
  std::printf("%zu calls on %zu connections: %zu KiB before, %zu KiB while at least %zu waited: %.1f KiB a call\n",
              calls, connections.size(), before, while_waiting, waiting,
              (static_cast<double>(while_waiting) - static_cast<double>(before)) / static_cast<double>(calls));
  return 0;
}

}  // namespace
}  // namespace assertion::bench

int main(int argc, char** argv) {
  std::string listen;
  std::string client_id = "orders";
  pid_t server = 0;
  std::size_t calls = 4096;
  CLI::App app{"Measures the memory of calls that wait. assertiond must be running, with a token that signs slowly."};
  app.add_option("--listen", listen, "unix:/PATH of assertiond")->required();
  app.add_option("--client-id", client_id, "whose key to use")->capture_default_str();
  app.add_option("--server", server, "the process id of assertiond")->required();
  app.add_option("--calls", calls, "calls that wait at the same time")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return assertion::bench::Run(listen, client_id, server, calls);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "waiting_bench: %s\n", error.what());
    return 1;
  }
}
