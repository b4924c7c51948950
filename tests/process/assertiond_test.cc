// assertiond as a process: exit statuses, what it prints, signals.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "assertion/descriptor.h"
#include "jws/thumbprint.h"
#include "replica.h"
#include "softhsm.h"

extern char** environ;  // NOLINT: POSIX's name

namespace assertion {
namespace {

// A child whose standard error is read through a pipe.
class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    std::array<int, 2> pipe_ends{};
    if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("pipe2");
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
    std::vector<char*> argv;
    for (auto& argument : arguments) {
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) {
      throw std::runtime_error("posix_spawn");
    }
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    errors_ = fdopen(pipe_ends[0], "r");
  }

  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::fclose(errors_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Reads lines until one contains the text; false when the child closed its standard error before.
  bool WaitForLine(const std::string& text) {
    std::array<char, 4096> line{};
    while (std::fgets(line.data(), line.size(), errors_) != nullptr) {
      output_ += line.data();
      if (std::string(line.data()).find(text) != std::string::npos) {
        return true;
      }
    }
    return false;
  }

  void Signal(int signal) const { kill(pid_, signal); }
  pid_t pid() const { return pid_; }

  // Exit status; -1 when a signal ended it.
  int Wait() {
    WaitForLine("\n\n no line has this");
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  const std::string& output() const { return output_; }

 private:
  pid_t pid_ = 0;
  FILE* errors_ = nullptr;
  std::string output_;
};

// The end of sd_notify(3) that systemd has.
class ServiceManager {
 public:
  explicit ServiceManager(const std::filesystem::path& path)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.native().copy(address.sun_path, sizeof address.sun_path - 1);
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("bind");
    }
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~ServiceManager() {
    for (const auto* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      unsetenv(name);
    }
  }
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Reads until something begins with the text; false when nothing comes for long.
  bool Hears(const std::string& text) {
    constexpr int kPatienceMs = 20'000;
    std::array<char, 4096> message{};
    pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    while (poll(&readable, 1, kPatienceMs) == 1) {
      const auto size = recv(socket_.get(), message.data(), message.size(), 0);
      heard_.emplace_back(message.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      if (heard_.back().starts_with(text)) {
        return true;
      }
    }
    return false;
  }

  bool HasHeard(const std::string& text) const {
    return std::ranges::any_of(heard_, [&](const auto& message) { return message.starts_with(text); });
  }

 private:
  const Descriptor socket_;
  std::vector<std::string> heard_;
};

class AssertiondTest : public testing::Test {
 protected:
  AssertiondTest() { hsm_.AddToken("test"); }

  std::string WriteConfig(const std::string& hsm_uri) {
    const nlohmann::json config = {
        {"hsm", hsm_uri},
        {"listen", "unix:" + (hsm_.directory() / "s").string()},
        {"audit", {{"path", hsm_.directory() / audit_name_}}},
        {"clients", {{{"client_id", "orders"}, {"audiences", {"https://is/token"}}, {"callers", {"uid:0"}}}}}};
    return hsm_.Write("assertiond.json", config.dump(2));
  }

  std::string audit_name_ = "audit.log";

  // Runs to the end; expects the status and one line that says it.
  std::string ExpectExit(int status, const std::string& hsm_uri) {
    Process process({ASSERTIOND, "--config", WriteConfig(hsm_uri)});
    EXPECT_EQ(process.Wait(), status) << process.output();
    std::istringstream lines(process.output());
    std::string line;
    std::string critical;
    int count = 0;
    while (std::getline(lines, line)) {
      if (line.find(R"("level":"critical")") != std::string::npos) {
        critical = line;
        ++count;
      }
    }
    EXPECT_EQ(count, 1) << process.output();
    EXPECT_EQ(process.output().find(SoftHsm::kPin), std::string::npos);
    return critical;
  }

  static void ExpectContains(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }

  SoftHsm hsm_;
};

TEST_F(AssertiondTest, ServesAndStopsWithStatus0) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Process process({ASSERTIOND, "--config", WriteConfig(hsm_.UriText())});
    ASSERT_TRUE(process.WaitForLine("serving on unix:")) << process.output();
    process.Signal(SIGHUP);  // says that it does nothing, and goes on
    ASSERT_TRUE(process.WaitForLine("SIGHUP"));
    process.Signal(signal);
    EXPECT_EQ(process.Wait(), 0) << process.output();
  }
}

TEST_F(AssertiondTest, WrongCommandLine) {
  EXPECT_EQ(Process({ASSERTIOND}).Wait(), 2);
  EXPECT_EQ(Process({ASSERTIOND, "--bogus"}).Wait(), 2);
  EXPECT_EQ(Process({ASSERTIOND, "--config", "a", "--check-config", "b"}).Wait(), 2);
}

TEST_F(AssertiondTest, CheckConfig) {
  Process correct({ASSERTIOND, "--check-config", WriteConfig(hsm_.UriText())});
  EXPECT_EQ(correct.Wait(), 0);
  EXPECT_EQ(correct.output().find("a start fails with that"), std::string::npos) << correct.output();
  Process wrong({ASSERTIOND, "--check-config", WriteConfig("pkcs11:token=x?pin-value=13579")});
  EXPECT_EQ(wrong.Wait(), 3);
  ExpectContains(wrong.output(), "assertiond.json:16: hsm: pin-value is refused");
  EXPECT_EQ(wrong.output().find("13579"), std::string::npos);
  Process elsewhere({ASSERTIOND, "--check-config",
                     WriteConfig("pkcs11:token=CHANGE-ME?module-path=/nowhere/p11.so&pin-source=file:/nowhere/pin")});
  EXPECT_EQ(elsewhere.Wait(), 0);
  for (const auto* warning : {"assertiond.json:16: warning: CHANGE-ME stands for a value of yours\n",
                              "assertiond.json:16: warning: hsm: module /nowhere/p11.so: this machine has no such "
                              "file: a start fails with that\n",
                              "assertiond.json:16: warning: hsm: PIN file /nowhere/pin: this machine has no such file: "
                              "a start fails with that\n"}) {
    ExpectContains(elsewhere.output(), warning);
  }
  ASSERT_EQ(chmod(hsm_.pin_file().c_str(), 0660), 0);
  Process exposed({ASSERTIOND, "--check-config", WriteConfig(hsm_.UriText())});
  EXPECT_EQ(exposed.Wait(), 0);
  ExpectContains(exposed.output(), "others than its owner may open it: a start fails with that; chmod 600 mends it");
  Process absent({ASSERTIOND, "--check-config", hsm_.directory() / "absent.json"});
  EXPECT_EQ(absent.Wait(), 3);
}

TEST_F(AssertiondTest, WrongConfigurationIsStatus3) {
  ExpectContains(ExpectExit(3, "pkcs11:token=x"), "assertiond.json:");
}

TEST_F(AssertiondTest, ModuleNotFound) {
  ExpectContains(ExpectExit(10, "pkcs11:token=test?module-path=/nowhere/libp11.so&pin-source=file:/nowhere/pin"),
                 "/nowhere/libp11.so cannot be used");
}

TEST_F(AssertiondTest, TokenAbsent) { ExpectContains(ExpectExit(11, hsm_.UriText("prod")), "no token matches"); }

TEST_F(AssertiondTest, WaitsForTheTokenIfToldTo) {
  const auto config = WriteConfig(hsm_.UriText("late"));
  Process process({ASSERTIOND, "--config", config, "--wait-for-token"});
  ASSERT_TRUE(process.WaitForLine("waiting for the token: no token matches")) << process.output();
  hsm_.AddToken("late");
  ASSERT_TRUE(process.WaitForLine("serving on unix:")) << process.output();
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0) << process.output();
}

TEST_F(AssertiondTest, StopsWhileItWaitsForTheToken) {
  Process process({ASSERTIOND, "--config", WriteConfig(hsm_.UriText("late")), "--wait-for-token"});
  ASSERT_TRUE(process.WaitForLine("waiting for the token")) << process.output();
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0) << process.output();
}

TEST_F(AssertiondTest, TellsItsServiceManager) {
  ServiceManager manager(hsm_.directory() / "notify");
  setenv("WATCHDOG_USEC", "20000", 1);
  Process process({ASSERTIOND, "--config", WriteConfig(hsm_.UriText())});
  ASSERT_TRUE(manager.Hears("READY=1")) << process.output();
  EXPECT_TRUE(manager.Hears("WATCHDOG=1"));
  EXPECT_TRUE(manager.Hears("WATCHDOG=1")) << "again and again";
  process.Signal(SIGHUP);
  EXPECT_TRUE(manager.Hears("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_TRUE(manager.Hears("READY=1"));
  process.Signal(SIGTERM);
  EXPECT_TRUE(manager.Hears("STOPPING=1"));
  EXPECT_EQ(process.Wait(), 0) << process.output();
}

TEST_F(AssertiondTest, AsksForMoreTimeWhileItWaitsForTheToken) {
  ServiceManager manager(hsm_.directory() / "notify");
  setenv("WATCHDOG_USEC", "20000", 1);
  setenv("WATCHDOG_PID", "1", 1);  // another process's
  Process process({ASSERTIOND, "--config", WriteConfig(hsm_.UriText("late")), "--wait-for-token"});
  EXPECT_TRUE(manager.Hears("EXTEND_TIMEOUT_USEC=")) << process.output();
  EXPECT_FALSE(manager.HasHeard("READY=1"));
  hsm_.AddToken("late");
  EXPECT_TRUE(manager.Hears("READY=1")) << process.output();
  process.Signal(SIGTERM);
  EXPECT_TRUE(manager.Hears("STOPPING=1"));
  EXPECT_FALSE(manager.HasHeard("WATCHDOG=1"));
  EXPECT_EQ(process.Wait(), 0) << process.output();
}

TEST_F(AssertiondTest, WaitsForNothingElse) {
  Process process({ASSERTIOND, "--config", WriteConfig(hsm_.UriText() + ".missing"), "--wait-for-token"});
  EXPECT_EQ(process.Wait(), 13) << process.output();
}

TEST_F(AssertiondTest, TwoTokensMatch) {
  hsm_.AddToken("test");
  ExpectContains(ExpectExit(12, hsm_.UriText()), "two tokens match");
}

TEST_F(AssertiondTest, PinFileMissing) {
  std::filesystem::remove(hsm_.pin_file());
  ExpectContains(ExpectExit(13, hsm_.UriText()), "cannot be read");
}

TEST_F(AssertiondTest, PinFileOpenToOthers) {
  chmod(hsm_.pin_file().c_str(), 0644);
  ExpectContains(ExpectExit(14, hsm_.UriText()), "chmod 600");
}

TEST_F(AssertiondTest, AWrongPinIsTriedOnceHoweverOftenItIsRestarted) {
  // OpenSC's spy writes down every call on its way to the real module.
  const auto calls = (hsm_.directory() / "calls").string();
  setenv("PKCS11SPY", SOFTHSM2_MODULE, 1);
  setenv("PKCS11SPY_OUTPUT", calls.c_str(), 1);
  setenv("LSAN_OPTIONS", "suppressions=" SPY_LEAK ":print_suppressions=0", 1);  // of AddressSanitizer builds
  hsm_.Write("pin", "0000000000");
  const auto uri = "pkcs11:token=test?module-path=" PKCS11_SPY "&pin-source=file:" + hsm_.pin_file();
  ExpectContains(ExpectExit(15, uri), "the token refused the PIN");
  for (int restart = 0; restart < 3; ++restart) {
    ExpectContains(ExpectExit(15, uri), "not tried again");
  }
  std::ifstream file(calls);
  std::string line;
  int logins = 0;
  while (std::getline(file, line)) {
    logins += line.find("C_Login") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(logins, 1);
}

TEST_F(AssertiondTest, TooFewDescriptors) {
  Process process({"/usr/bin/prlimit", "--nofile=63:63", ASSERTIOND, "--config", WriteConfig(hsm_.UriText())});
  EXPECT_EQ(process.Wait(), 1);
  ExpectContains(process.output(),
                 "this process may open 63 files (RLIMIT_NOFILE): raise the hard limit to 64 or more");
}

TEST_F(AssertiondTest, AddressInUse) {
  Process first({ASSERTIOND, "--config", WriteConfig(hsm_.UriText())});
  ASSERT_TRUE(first.WaitForLine("serving on unix:"));
  audit_name_ = "second.log";
  ExpectContains(ExpectExit(20, hsm_.UriText()),
                 "another server is listening there: assertiond with the pid " + std::to_string(first.pid()));
  first.Signal(SIGTERM);
  EXPECT_EQ(first.Wait(), 0);
}

TEST_F(AssertiondTest, AuditLogOfAnotherProcess) {
  Process first({ASSERTIOND, "--config", WriteConfig(hsm_.UriText())});
  ASSERT_TRUE(first.WaitForLine("serving on unix:"));
  const auto output = ExpectExit(22, hsm_.UriText());
  ExpectContains(output, "another process writes it");
  ExpectContains(output, "the audit log is in use by assertiond with the pid " + std::to_string(first.pid()) +
                             ": if that is assertiond with this configuration, it runs already");
  first.Signal(SIGTERM);
  EXPECT_EQ(first.Wait(), 0);
}

TEST_F(AssertiondTest, AuditLogThatCannotBeWritten) {
  audit_name_ = "absent/audit.log";
  ExpectContains(ExpectExit(22, hsm_.UriText()), "the audit log cannot be written");
}

// The key of that id, on the token already, entered in the ledger as one that signs.
void Enter(LoggedInSoftHsm& hsm, const Bytes& id, const std::vector<std::string>& certificates = {}) {
  const auto contents = hsm.token().Read({"orders"});
  const auto key = std::ranges::find(contents->keys, id, &TokenKey::id);
  const auto ledger = *TokenLedger::Open(hsm.token(), "test", SystemTime, RandomOctets);
  const auto hold = *ledger->Take("orders");
  auto next = hold->current();
  next.version = 1;
  next.keys = {{.kid = jws::JwkThumbprint(key->public_key),
                .algorithm = kAlgorithms.data(),
                .id = id,
                .certificates = certificates,
                .publish_from = SystemTime(),
                .sign_from = SystemTime()}};
  ASSERT_TRUE(hold->Commit(next));
}

class AssertiondKeys : public testing::Test {
 protected:
  // The start goes on: one client's trouble is nobody else's. The log says what is wrong.
  void ExpectServesAndSays(const std::string& part) {
    const nlohmann::json config = {
        {"hsm", hsm_.UriText()},
        {"listen", "unix:" + (hsm_.directory() / "s").string()},
        {"clients", {{{"client_id", "orders"}, {"audiences", {"https://is/token"}}, {"callers", {"uid:0"}}}}}};
    Process process({ASSERTIOND, "--config", hsm_.Write("assertiond.json", config.dump())});
    EXPECT_TRUE(process.WaitForLine("serving on unix:")) << process.output();
    process.Signal(SIGTERM);
    EXPECT_EQ(process.Wait(), 0) << process.output();
    EXPECT_NE(process.output().find(part), std::string::npos) << process.output();
  }

  LoggedInSoftHsm hsm_;
};

TEST_F(AssertiondKeys, AnExportableOneDoesNotSignAndStopsNoStart) {
  hsm_.MakeKey("orders", {1}, true, true);
  Enter(hsm_, {1});
  ExpectServesAndSays("CKA_EXTRACTABLE is true");
}

TEST_F(AssertiondKeys, TwoOfOneIdDoNotSignAndStopNoStart) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter(hsm_, {1});
  hsm_.MakeKey("orders", {1}, true, false);
  ExpectServesAndSays("2 private keys with CKA_ID 01");
}

TEST_F(AssertiondKeys, ACertificateThatIsNoneStopsNoStart) {
  const Bytes garbage = {0x30, 0x00};
  hsm_.MakeKey("orders", {1}, true, false);
  ASSERT_TRUE(hsm_.token().StoreCertificate("orders", Bytes{1}, garbage, garbage));
  Enter(hsm_, {1}, {jws::Sha256Thumbprint(garbage)});
  ExpectServesAndSays("cannot be read");
}

TEST_F(AssertiondKeys, OneThatTheTokenLacksStopsNoStart) {
  hsm_.MakeKey("orders", {1}, true, false);
  Enter(hsm_, {1});
  ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{1}));
  ExpectServesAndSays("in the ledger but not on the token");
}

}  // namespace
}  // namespace assertion
