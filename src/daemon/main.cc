// assertiond: reads the command line and the configuration, and runs the daemon.

#include <fcntl.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/descriptor.h"
#include "assertion/mutex.h"
#include "assertion/scheduling.h"
#include "config/config.h"
#include "config/field_table.h"
#include "config/text.h"
#include "daemon/config_check.h"
#include "daemon/daemon.h"
#include "daemon/exit_status.h"
#include "daemon/reloading.h"
#include "daemon/signals.h"
#include "observe/log.h"
#include "observe/supervisor.h"
#include "p11/module.h"

namespace assertion {
namespace {

constexpr const char* kExamples =
    R"(A fault of one client's key does not stop the start. That client is refused; the log and assertionctl doctor say why.

Examples:
  assertiond --check-config /etc/assertiond/assertiond.json
  assertiond --config /etc/assertiond/assertiond.json)";

struct CommandLine {
  std::string serve;  // the configuration file; empty: `check` is not
  std::string check;
  bool print_reference = false;
  bool wait_for_token = false;
  LogFormat log_format = DefaultLogFormat();
};

// The word of --log-format; an error names the nearest one.
std::string TakeLogFormat(const std::string& word, LogFormat& format) {
  static constexpr std::array<std::string_view, 2> kWords = {"text", "json"};
  const auto lower = LowerCase(word);
  if (std::ranges::find(kWords, lower) == kWords.end()) {
    return "\"" + word + "\" is none of: text, json" + DidYouMean(word, kWords);
  }
  format = lower == "text" ? LogFormat::kText : LogFormat::kJson;
  return "";
}

// Names the first word that is neither an option nor its value, with the nearest option. CLI11 names all in one line.
std::string UnexpectedWord(const CLI::App& app, std::span<char* const> words) {
  std::vector<std::string_view> names;
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) {
      names.push_back(name);
    }
  }
  for (std::size_t at = 0; at < words.size(); ++at) {
    const std::string_view word = words[at];
    const auto name = std::string(word.substr(0, word.find('=')));
    const auto* const option = word.starts_with('-') ? app.get_option_no_throw(name) : nullptr;
    if (option == nullptr) {
      const auto near = word.starts_with("--") ? NearestWord(name.substr(2), names) : std::string_view();
      return (word.starts_with('-') ? "unknown option \"" + name : "unexpected argument \"" + std::string(word)) +
             "\"" + (near.empty() ? "" : "; did you mean \"--" + std::string(near) + "\"?");
    }
    if (option->get_items_expected_min() > 0 && name == word) {
      ++at;  // its value
    }
  }
  return "";
}

int ReportWrongLine(const CLI::App& app, const CLI::ParseError& error, std::span<char* const> words) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {  // --help or --version
    app.exit(error);
    return std::cout.flush().good() ? 0 : kExitWrongCommandLine;
  }
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch)) {  // "--config: 1 required TEXT …"
    const std::string text = error.what();
    const auto name = text.substr(0, text.find(':'));
    std::cerr << "assertiond: " << name << " needs a value: " << app.get_option(name)->get_option_text()
              << "\n  next: assertiond --help\n";
    return kExitWrongCommandLine;
  }
  const auto word = UnexpectedWord(app, words);
  std::cerr << "assertiond: " << (word.empty() ? error.what() : word) << "\n  next: assertiond --help\n";
  return kExitWrongCommandLine;
}

// Reads the command line; an exit status when there is nothing more to do.
std::optional<int> Parse(int argc, char** argv, CommandLine& line) {
  CLI::App app("assertiond signs OAuth 2.0 client assertions (RFC 7523) with keys that never leave an HSM.");
  app.set_version_flag("--version", "assertiond " ASSERTION_VERSION);
  app.footer(ExitStatusHelp() + kExamples);
  auto* config_option =
      app.add_option("--config", line.serve, "Serve with this configuration file")->option_text("FILE");
  app.add_option("--check-config", line.check,
                 "Check the file (at most 8 MiB), print every error with its line and the nearest valid word, and exit")
      ->option_text("FILE")
      ->excludes(config_option);
  app.add_flag("--config-reference", line.print_reference,
               "Print every field of the configuration file as Markdown, with type, range and default, and exit");
  app.add_flag("--wait-for-token", line.wait_for_token,
               "Wait for an absent token instead of ending with exit status 11; needs --config")
      ->option_text(" ")
      ->needs(config_option);
  app.add_option_function<std::string>(
         "--log-format",
         [&line](const std::string& word) {
           if (const auto wrong = TakeLogFormat(word, line.log_format); !wrong.empty()) {
             throw CLI::ValidationError("--log-format", wrong);
           }
         },
         "text or json; default: text on a terminal, else json, one object a line")
      ->option_text("FORMAT");
  try {
    app.parse(argc, argv);
    if (line.print_reference) {
      std::cout << ConfigReference() << std::flush;
      return std::cout.good() ? 0 : kExitWrongCommandLine;
    }
    if (line.serve.empty() && line.check.empty()) {
      throw CLI::RequiredError("--config FILE, --check-config FILE or --config-reference");
    }
  } catch (const CLI::ParseError& error) {
    return ReportWrongLine(app, error, std::span(argv, static_cast<std::size_t>(argc)).subspan(argc > 0 ? 1 : 0));
  }
  return std::nullopt;
}

// To the hard limit: the soft limit of 1024 is for programs that use select(2). Returns what is in force.
rlim_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return RLIM_INFINITY;
  }
  const auto before = std::exchange(limit.rlim_cur, limit.rlim_max);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

// Connections have numbers from 1024 on. The kernel enlarges its table of descriptors when a number first needs it, and
// has a process with threads wait some 16 ms for that: here there is one thread, and later a connection would wait.
void EnlargeDescriptorTable(rlim_t limit) {
  constexpr rlim_t kEnough = 16'384;
  const Descriptor highest(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, static_cast<int>(std::min(limit, kEnough)) - 1));
}

// A file that is opened later must not get the number of a standard stream that the launcher closed: the process log
// would be written into it.
void OccupyStandardStreams() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  }
  const Descriptor one_too_many(fd);
}

// Returns the limit of descriptors.
rlim_t PrepareProcess() {
  OccupyStandardStreams();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit of the file size is an error of write
  // They would override which module OpenSSL's provider loads, and which suites gRPC speaks.
  for (const char* name :
       {"PKCS11_PROVIDER_MODULE", "PKCS11_PROVIDER_DEBUG", "PKCS11_MODULE_PATH", "GRPC_SSL_CIPHER_SUITES"}) {
    unsetenv(name);
  }
  // The service's threads wake each other for each call. Where the token is a program on the same processors, a wake-up
  // should not interrupt the threads that sign. A sandbox may refuse it; the service is only slower then. A policy that
  // somebody chose (CPUSchedulingPolicy=, chrt) stays.
  ChangeScheduling(SCHED_OTHER, SCHED_BATCH);
  const auto limit = RaiseDescriptorLimit();
  EnlargeDescriptorTable(limit);
  return limit;
}

// A thread that a library cannot start later ends the process, or hangs it. Throws std::system_error.
void TryThreads() {
  constexpr int kThreads = 128;
  Mutex gate;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  const MutexLock closed(gate);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&gate] { const MutexLock passed(gate); });
  }
}

int Serve(const CommandLine& line) {
  constexpr rlim_t kFewestDescriptors = 64;  // gRPC ends the process when it gets none for its own use
  const auto descriptors = PrepareProcess();
  const auto supervisor = Supervisor::FromEnvironment();
  StartLog(line.log_format);
  if (descriptors < kFewestDescriptors) {
    spdlog::critical(
        "this process may open {} files (RLIMIT_NOFILE): raise the hard limit to {} or more, as LimitNOFILE= "
        "or ulimit -n; 4096 are enough for 1,024 connections",
        descriptors, kFewestDescriptors);
    return kExitInternal;
  }
  const auto config = ReadConfigAndAuthorities(line.serve);
  if (!config) {
    for (const auto& error : config.error()) {
      spdlog::critical("{}", error);
    }
    return ExitStatus(Code::kConfigInvalid);
  }
  for (const auto& hsm : config->hsms) {
    p11::Module::SetEnvironment(hsm.environment);
  }
  Reloading reloading;
  Signals signals(Daemon::kHangLimit, [&] { Daemon::EndHung(reloading); });  // the first thread, and the last
  TryThreads();  // while signals wait for the first thread: a start of a thread blocks them for a moment
  const int status = Daemon(*config, line.serve, signals, supervisor, reloading).Run(line.wait_for_token);
  reloading.End();  // within the limit
  return status;
}

int ServeWithThreads(const CommandLine& line) {
  try {
    return Serve(line);
  } catch (const std::system_error& error) {
    spdlog::critical(
        "this process may start too few threads, or open too few files: {}; raise RLIMIT_NPROC, pids.max or "
        "RLIMIT_NOFILE",
        error.code().message());
    return kExitInternal;
  }
}

}  // namespace
}  // namespace assertion

int main(int argc, char** argv) {
  assertion::CommandLine line;
  if (const auto status = assertion::Parse(argc, argv, line)) {
    return *status;
  }
  return line.check.empty() ? assertion::ServeWithThreads(line) : assertion::CheckConfig(line.check);
}
