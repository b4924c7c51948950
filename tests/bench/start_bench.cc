// What a start costs: from the exec of assertiond to the READY=1 of sd_notify(3), and how much of that, and of its
// memory, is the PKCS#11 module's own. In turns; each in a process of its own, as no cache of a module outlives one.

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/process.h"
#include "bench/raw_token.h"

extern char** environ;

namespace assertion::bench {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

struct Options {
  std::string config;
  std::string client_id = "orders";
  std::string assertiond;
  std::string json;
  int rounds = 9;
};

struct ModuleCost {
  double milliseconds = 0;  // to load it and log in
  double kib = 0;           // of memory, once it has signed on two sessions
};

// In this process, which has not seen the module before.
ModuleCost MeasureModule(const std::string& uri, const std::string& client_id) {
  const auto before = MemoryOf(getpid()).resident;
  const auto begin = Clock::now();
  const RawToken token(uri);
  ModuleCost cost{.milliseconds = MillisecondsSince(begin), .kib = 0};
  const RawMechanism mechanism("RS256", token.Mechanisms());
  constexpr int kSignatures = 200;
  for (const auto session : {token.OpenSession(), token.OpenSession()}) {
    const auto key = token.FindPrivateKey(session, client_id);
    for (int i = 0; i < kSignatures; ++i) {
      token.Sign(session, key, mechanism);
    }
  }
  cost.kib = static_cast<double>(MemoryOf(getpid()).resident - before);
  return cost;
}

// The same in a process of its own.
ModuleCost ModuleAlone(const std::string& uri, const std::string& client_id) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) {
    throw std::runtime_error("pipe failed");
  }
  const auto child = fork();
  if (child == 0) {
    ModuleCost cost;
    try {
      cost = MeasureModule(uri, client_id);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "start_bench: %s\n", error.what());
    }
    _exit(write(pipe[1], &cost, sizeof cost) == sizeof cost && cost.kib > 0 ? 0 : 1);
  }
  close(pipe[1]);
  ModuleCost cost;
  const bool got = read(pipe[0], &cost, sizeof cost) == sizeof cost;
  close(pipe[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!got || status != 0) {
    throw std::runtime_error("the module could not be measured");
  }
  return cost;
}

// Where a process says that it is ready.
class NotifySocket {
 public:
  NotifySocket() : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    const auto name = "start-bench-" + std::to_string(getpid());
    name.copy(&address.sun_path[1], sizeof address.sun_path - 1);  // abstract (unix(7))
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (fd_ < 0 || bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
      throw std::runtime_error("no socket for sd_notify");
    }
    setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  }
  ~NotifySocket() { close(fd_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  void WaitForReady() const {
    constexpr int kLimitMs = 30'000;
    for (std::string text; !text.contains("READY=1");) {
      pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, kLimitMs) <= 0) {
        throw std::runtime_error("assertiond does not say that it is ready");
      }
      text.resize(4096);
      text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, recv(fd_, text.data(), text.size(), 0))));
    }
  }

 private:
  int fd_;
};

struct StartCost {
  double milliseconds = 0;
  double kib = 0;  // of memory, once it serves
};

StartCost MeasureStart(const NotifySocket& socket, const Options& options) {
  std::array arguments = {options.assertiond, std::string("--config"), options.config};
  std::array<char*, 4> argv = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t server = 0;
  const auto begin = Clock::now();
  const int failed = posix_spawn(&server, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    throw std::runtime_error("cannot start " + options.assertiond);
  }
  socket.WaitForReady();
  const StartCost cost{.milliseconds = MillisecondsSince(begin), .kib = static_cast<double>(MemoryOf(server).resident)};
  kill(server, SIGTERM);
  int status = 0;
  waitpid(server, &status, 0);
  if (status != 0) {
    throw std::runtime_error("assertiond did not end in order");
  }
  return cost;
}

int Run(const Options& options) {
  std::ifstream file(options.config);
  const auto uri = nlohmann::json::parse(file).at("hsm").get<std::string>();
  const NotifySocket socket;
  std::vector<double> module_ms;
  std::vector<double> module_kib;
  std::vector<double> start_ms;
  std::vector<double> start_kib;
  for (int i = 0; i < options.rounds; ++i) {
    const auto module = ModuleAlone(uri, options.client_id);
    module_ms.push_back(module.milliseconds);
    module_kib.push_back(module.kib);
    const auto start = MeasureStart(socket, options);
    start_ms.push_back(start.milliseconds);
    start_kib.push_back(start.kib);
  }
  std::ofstream out(options.json);
  out << nlohmann::ordered_json{{"module_ms", module_ms},
                                {"module_kib", module_kib},
                                {"start_ms", start_ms},
                                {"start_kib", start_kib}}
      << '\n';
  if (!out.flush()) {
    throw std::runtime_error("cannot write " + options.json);
  }
  return 0;
}

}  // namespace
}  // namespace assertion::bench

int main(int argc, char** argv) {
  assertion::bench::Options options;
  CLI::App app{"Measures what a start of assertiond costs, and what of it is the PKCS#11 module's."};
  app.add_option("--config", options.config, "the configuration file; nobody serves it now")->required();
  app.add_option("--client-id", options.client_id, "whose key the module signs with, RSA")->capture_default_str();
  app.add_option("--assertiond", options.assertiond, "the program")->required();
  app.add_option("--rounds", options.rounds, "how often to take turns")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_option("--json", options.json, "write the results to this file")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    return assertion::bench::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "start_bench: %s\n", error.what());
    return 1;
  }
}
