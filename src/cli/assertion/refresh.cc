// assertionctl assertion refresh

#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
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
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assertion/descriptor.h"
#include "cli/assertion/flags.h"
#include "cli/assertion/kept_file.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/received_token.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

using std::chrono::milliseconds;
using WallClock = std::chrono::system_clock;  // a steady one stands still while the machine is suspended

constexpr const char* kRefreshHelp = "assertionctl assertion refresh --help";
// The first call's failure ends this, so it waits as long as the server does, which is 30 s.
constexpr Connection::Limits kFirstLimits{.call = std::chrono::seconds(31)};
// Short, so that a signal and the command's end are seen soon although the server does not answer.
constexpr Connection::Limits kRefreshLimits{.connect = std::chrono::seconds(1), .call = std::chrono::seconds(10)};
constexpr milliseconds kFirstDelay{500};
constexpr milliseconds kLongestDelay{30'000};
constexpr milliseconds kLook{1'000};  // between looks whether the file is there
constexpr int kShellSignal = 128;     // how shells tell that a signal ended a command
constexpr int kCommandNotFound = 127;
constexpr std::array kForwarded = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

struct RefreshOptions {
  AssertionFlags assertion;
  std::string out;
  int max_uses = 0;  // 0: not counted
  std::vector<std::string> command;
};

// Tells the service manager (sd_notify(3)) that the file is there. Without one nothing happens.
void NotifyReady() {
  const auto* name = std::getenv("NOTIFY_SOCKET");
  const std::string path = name == nullptr ? "" : name;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if ((!path.starts_with('/') && !path.starts_with('@')) || path.size() >= sizeof address.sun_path) {
    return;
  }
  path.copy(address.sun_path, path.size());
  if (path.starts_with('@')) {
    address.sun_path[0] = '\0';
  }
  constexpr std::string_view kReady = "READY=1";
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sendto(socket.get(), kReady.data(), kReady.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
         static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size()));
}

// The next call follows after a part of this life: a shorter one would call without end, and no client may have a
// longer one.
Result<std::chrono::seconds> LifeOf(const v1::CreateAssertionResponse& response) {
  constexpr std::int64_t kLongest = std::chrono::seconds(std::chrono::days(1)).count();
  std::int64_t life = 0;
  if (__builtin_sub_overflow(response.expires_at().seconds(), response.issued_at().seconds(), &life) || life < 1 ||
      life > kLongest) {
    return Fail(Code::kUnavailable, "the server's assertion does not live between 1 s and a day: issued at " +
                                        std::to_string(response.issued_at().seconds()) + ", expires at " +
                                        std::to_string(response.expires_at().seconds()));
  }
  return std::chrono::seconds(life);
}

bool IsIgnored(int signal) {
  struct sigaction action{};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// Signals as a descriptor. Blocked before gRPC starts threads, which inherit that.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int signal : kForwarded) {
      if (!IsIgnored(signal)) {  // as nohup does
        sigaddset(&set_, signal);
      }
    }
    std::signal(SIGCHLD, SIG_DFL);  // ignored, the command's end would not be told
    sigaddset(&set_, SIGCHLD);
    sigemptyset(&defaults_);
    if (!IsIgnored(SIGPIPE)) {  // the reader of standard error may go
      std::signal(SIGPIPE, SIG_IGN);
      sigaddset(&defaults_, SIGPIPE);
    }
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
    descriptor_ = Descriptor(signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  int descriptor() const { return descriptor_.get(); }

  std::optional<signalfd_siginfo> Next() {
    signalfd_siginfo info{};
    return read(descriptor_.get(), &info, sizeof info) == sizeof info ? std::optional(info) : std::nullopt;
  }

  // Starts a command with the signals as they were. 0: it cannot be started.
  pid_t Start(const std::vector<std::string>& command) const {
    std::vector<char*> words;
    words.reserve(command.size() + 1);
    for (const auto& word : command) {
      words.push_back(const_cast<char*>(word.c_str()));  // posix_spawnp leaves them alone
    }
    words.push_back(nullptr);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &before_);
    posix_spawnattr_setsigdefault(&attributes, &defaults_);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t child = 0;
    const int failed = posix_spawnp(&child, words.front(), nullptr, &attributes, words.data(), environ);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0) {
      Report(kCommandNotFound, "cannot start " + command.front() + ": " + std::strerror(failed), "");
      return 0;
    }
    return child;
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
  sigset_t defaults_{};  // of a command
  Descriptor descriptor_;
};

// Keeps the file fresh until a signal or the command's end.
class Refreshing {
 public:
  Refreshing(const RefreshOptions& options, const std::string& server, v1::CreateAssertionRequest request,
             KeptFile file)
      : options_(options), server_(server), request_(std::move(request)), file_(std::move(file)) {}

  int Run() {
    WarnOfDisk();
    if (const auto first = Renew(kFirstLimits); !first) {
      return first.error().code == Code::kConfigInvalid ? ReportFile(first.error()) : ReportCall(first.error());
    }
    if (const auto ended = HandleSignals()) {  // during the first call
      file_.Remove();
      return *ended;
    }
    if (!options_.command.empty()) {
      child_ = signals_.Start(options_.command);
      if (child_ == 0) {
        file_.Remove();
        return kCommandNotFound;
      }
    }
    NotifyReady();
    if (options_.command.empty()) {  // a command's standard error is its own
      Report(0, "keeps a fresh assertion in " + options_.out + " until SIGTERM or Ctrl-C", "");
    }
    std::optional<int> status;
    while (!status) {
      Wait();
      status = HandleSignals();
      if (!status) {
        Tick();
      }
    }
    file_.Remove();
    return *status;
  }

 private:
  // Gets an assertion and puts it into the file.
  Status Renew(const Connection::Limits& limits) {
    const auto asked = WallClock::now();
    ASSIGN_OR_RETURN(auto connection, Connection::Open(server_, limits));
    ASSIGN_OR_RETURN(const auto response, Ask(connection, &Connection::CreateAssertion, request_));
    ASSIGN_OR_RETURN(const auto life, LifeOf(response));
    RETURN_IF_ERROR(CheckReceived("assertion", response.assertion()));
    RETURN_IF_ERROR(file_.Replace(response.assertion()));
    written_ = WallClock::now();
    // From when it was asked for, which is before it was issued. 2/5 leaves room for the call before half of its life.
    next_ = asked + std::chrono::duration_cast<WallClock::duration>(life * 2) / 5;
    expiry_ = asked + life;
    uses_ = 0;
    return {};
  }

  // Changes of the file itself wake it at once, those of its folder do not.
  void Wait() {
    const auto now = WallClock::now();
    const auto until = std::min({next_, expiry_.value_or(next_), now + kLook});
    const auto left = std::chrono::ceil<milliseconds>(until - now);
    std::array<pollfd, 2> wait = {{{.fd = signals_.descriptor(), .events = POLLIN, .revents = 0},
                                   {.fd = file_.changed(), .events = POLLIN, .revents = 0}}};
    poll(wait.data(), wait.size(), static_cast<int>(std::max(left, milliseconds(0)).count()));
  }

  void Tick() {
    if (WallClock::now() < looked_) {  // the clock was set back: what was planned would be late
      next_ = WallClock::now();
    }
    looked_ = WallClock::now();
    if (expiry_ && WallClock::now() >= *expiry_) {
      expiry_.reset();
      if (file_.Remove()) {
        Report(0, "the assertion expired before another came: " + file_.path() + " is removed", "");
      }
    }
    uses_ += file_.TakeOpens();
    if (!away_ && options_.max_uses > 0 && uses_ >= options_.max_uses) {
      next_ = WallClock::now();
    }
    LookForFile();
    if (WallClock::now() >= next_) {
      // No assertion is asked for that has no place.
      if (const auto found = file_.Find(); !found) {
        Tell(found.error(), "assertionctl looks again each second");
        next_ = WallClock::now() + kLook;
      } else if (const auto renewed = Renew(kRefreshLimits); !renewed) {
        Tell(renewed.error(), "nothing; the old one stays until it expires, and assertionctl goes on asking");
        next_ = WallClock::now() + std::max(delay_, renewed.error().retry_delay);
        delay_ = std::min(delay_ * 2, kLongestDelay);
      } else if (away_) {
        away_ = false;
        delay_ = kFirstDelay;
        Report(0, file_.path() + " is fresh again", "");
      }
      WarnOfDisk();
    }
  }

  // The file is renewed once it is no longer there: removed, replaced by another, or moved with its folder. A program
  // that removes it again and again does not make assertionctl ask without pause.
  void LookForFile() {
    if (away_ || file_.IsThere()) {
      return;
    }
    const auto next = std::max(WallClock::now(), written_ + kLook);
    if (next < next_) {
      Report(0, file_.path() + " was removed or replaced by another program", "nothing; it is written again");
      next_ = next;
    }
  }

  void WarnOfDisk() {
    if (!std::exchange(on_disk_, !file_.in_memory()) && on_disk_) {
      Report(0, options_.out + " is not in memory: assertions may reach a disk and its backups",
             "name a file on tmpfs, for example in a folder of your own below /run or /dev/shm");
    }
  }

  // Says the first failure of a row.
  void Tell(const Error& error, const char* next) {
    if (!std::exchange(away_, true)) {
      Report(0, "no fresh assertion: " + error.ToString(), next);
    }
  }

  // The exit status, once this must end.
  std::optional<int> HandleSignals() {
    while (const auto info = signals_.Next()) {
      if (info->ssi_signo == SIGCHLD) {
        int ended = 0;
        if (child_ > 0 && waitpid(child_, &ended, WNOHANG) == child_) {
          return WIFEXITED(ended) ? WEXITSTATUS(ended) : kShellSignal + WTERMSIG(ended);
        }
      } else if (child_ == 0) {  // without a command a signal is how this ends; else it keeps the command from starting
        return options_.command.empty() ? 0 : kShellSignal + static_cast<int>(info->ssi_signo);
      } else if (info->ssi_code != SI_KERNEL || info->ssi_signo == SIGHUP) {
        // A terminal's keys reach the command by themselves. That the terminal was closed only the session's leader
        // hears, which this may be.
        kill(child_, static_cast<int>(info->ssi_signo));
      }
    }
    return std::nullopt;
  }

  Signals signals_;
  const RefreshOptions& options_;
  const std::string& server_;
  const v1::CreateAssertionRequest request_;
  KeptFile file_;
  pid_t child_ = 0;
  int uses_ = 0;
  bool away_ = false;     // the server, or the file's folder
  bool on_disk_ = false;  // and it was said
  milliseconds delay_ = kFirstDelay;
  WallClock::time_point looked_ = WallClock::now();
  WallClock::time_point written_;
  WallClock::time_point next_;
  std::optional<WallClock::time_point> expiry_;
};

int RefreshAssertion(const RefreshOptions& given, const std::string& server) {
  auto options = given;
  options.command = WordsBehindDashes();
  if (options.command.empty() && !given.command.empty()) {
    return Report(kUsage, "write -- before the command to run: -- " + QuotedForShell(given.command.front()),
                  kRefreshHelp);
  }
  auto request = AssertionRequestOf(options.assertion);
  if (!request) {
    return Report(kUsage, request.error().message, kRefreshHelp);
  }
  auto file = KeptFile::In(options.out);
  if (!file) {
    return ReportFile(file.error());
  }
  return Refreshing(options, server, *std::move(request), *std::move(file)).Run();
}

}  // namespace

void AddAssertionRefresh(Command& assertion) {
  const auto [verb, options] = assertion.AddVerb(
      {.name = "refresh",
       .summary = "Keep a fresh client assertion in a file, as a service or while a command runs",
       .examples = "  assertionctl assertion refresh --client-id orders --out /run/orders/assertion\n"
                   "  AZURE_FEDERATED_TOKEN_FILE=/run/orders/assertion \\\n"
                   "    assertionctl assertion refresh --client-id orders --lifetime 10m --out /run/orders/assertion "
                   "-- ./backend",
       .notes =
           "The file has mode 0600 and is replaced whole, before half of the assertion's life is over. It is removed\n"
           "when this ends (SIGTERM, SIGINT, or the command's end) and when the assertion expires while the server is\n"
           "away. It is written again within a second once it, or its folder, was removed or replaced. An existing\n"
           "FILE is replaced if it is empty or a JWT, belongs to you and has mode 0600; anything else is refused, as "
           "is\n"
           "the file of another refresh. Programs that read an assertion from a file find it by their own variable,\n"
           "which is for you to set: AZURE_FEDERATED_TOKEN_FILE (Azure SDKs: that for Node.js goes on with what it\n"
           "read for 5 minutes, so let an assertion last 10). A service manager is told READY=1 ($NOTIFY_SOCKET).\n"
           "FILE's folder and each folder above it must belong to root or to you and be writable by nobody else. One\n"
           "above it may be a sticky folder of root: make a folder of your own below /dev/shm.\n"
           "With a command the exit status is the command's: 128 and the signal's number if a signal ended it, 127 if\n"
           "it could not be started.\n"
           "WSO2 and others take each assertion once. A reader that sends the same one again is refused: let it read\n"
           "the file before each token request, give --max-uses 1, and reuse access tokens.",
       .statuses = {{0, "ended by SIGTERM or SIGINT, or the command ended so"},
                    {kFile, "the file cannot be written, or another refresh keeps it"},
                    {127, "the command cannot be started; any other status is the command's"}}},
      RefreshAssertion);
  AddAssertionFlags(verb, options.assertion);
  AddGrantFlags(verb, options.assertion);
  verb->add_option("--out", options.out, "The file to keep, best on tmpfs")->required()->type_name("FILE");
  verb->add_option("--max-uses", options.max_uses,
                   "Also replace the file once it was opened this often; opens at the same instant may count as one, "
                   "and until the next assertion is there a reader sees the old one; default: not counted")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  verb->add_option("command", options.command,
                   "The command to run, behind --; assertionctl ends when it ends; default: none")
      ->type_name("COMMAND");
}

}  // namespace assertion::cli
