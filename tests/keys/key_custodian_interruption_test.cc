// Changes of keys by processes of their own: killed at every step, and two at once.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <tuple>
#include <utility>

#include "certificate_authority.h"
#include "keys/file_ledger.h"
#include "keys/stray.h"
#include "places.h"
#include "replica.h"
#include "softhsm.h"

extern char** environ;  // NOLINT: POSIX's name

namespace assertion {
namespace {

using std::chrono::days;

// A running custodian_process: its standard input and output are pipes.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), CUSTODIAN_PROCESS);
    std::vector<char*> argv;
    for (auto& argument : arguments) {
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("pipe2");
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    in_ = in[1];
    out_ = fdopen(out[0], "r");
  }
  ~Child() {
    LetGo();
    std::fclose(out_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next line that it writes; empty when there is none any more.
  std::string ReadLine() {
    std::array<char, 256> line{};
    const std::string text = std::fgets(line.data(), line.size(), out_) == nullptr ? "" : line.data();
    return text.substr(0, text.find('\n'));
  }

  // It waits for this before its changes.
  void LetGo() {
    if (in_ >= 0) {
      close(std::exchange(in_, -1));
    }
  }

  // Its end as waitpid(2) tells it, and what it wrote.
  int Wait() {
    LetGo();
    for (auto line = ReadLine(); !line.empty(); line = ReadLine()) {
      lines_.push_back(line);
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    return status;
  }

  const std::vector<std::string>& lines() const { return lines_; }

 private:
  pid_t pid_ = 0;
  int in_ = -1;
  FILE* out_ = nullptr;
  std::vector<std::string> lines_;
};

// This process on a token directory of which another process may have died.
struct Session {
  explicit Session(const SoftHsm& hsm)
      : module(*p11::Module::Load(SOFTHSM2_MODULE)),
        token(*p11::HsmToken::LogIn(module, *module->FindToken(*TokenUri::Parse(hsm.UriText())), hsm.pin_file(),
                                    hsm.directory())),
        certifier(*x509::Certifier::New(SOFTHSM2_MODULE)) {}

  std::shared_ptr<p11::Module> module;
  std::unique_ptr<p11::HsmToken> token;
  std::unique_ptr<x509::Certifier> certifier;
};

class InterruptionTest : public testing::Test {
 protected:
  InterruptionTest() { hsm_.AddToken("test"); }

  std::vector<Client> Clients() const { return {Named("orders", Binding::kJwks)}; }

  std::vector<std::string> Arguments(const std::string& ledger, const std::vector<std::string>& command,
                                     const std::string& holder = "replica") const {
    std::vector<std::string> arguments = {hsm_.UriText(), hsm_.pin_file(), ledger, holder};
    arguments.insert(arguments.end(), command.begin(), command.end());
    return arguments;
  }

  std::string Output(const std::string& name) const { return hsm_.directory() / name; }

  // Sets the token back to how it was when it was kept.
  void Keep() const {
    std::filesystem::create_directory(hsm_.directory() / "kept");
    Copy(hsm_.directory(), hsm_.directory() / "kept");
  }
  void Restore() const {
    std::filesystem::remove_all(hsm_.directory() / "tokens");
    Copy(hsm_.directory() / "kept", hsm_.directory());
  }

  SoftHsm hsm_;
  Time now_ = SystemTime();

 private:
  static void Copy(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::copy(from / "tokens", to / "tokens", std::filesystem::copy_options::recursive);
    if (std::filesystem::exists(from / "ledger.json")) {
      std::filesystem::copy(from / "ledger.json", to / "ledger.json",
                            std::filesystem::copy_options::overwrite_existing);
    }
  }
};

// One kind of change, ready to be made.
struct PreparedChange {
  std::string verb;
  std::vector<std::string> rest;                         // what custodian_process is told besides
  std::function<bool(const ClientLedger& ledger)> done;  // whether it shows in the ledger
};

enum class Place { kToken, kFile };

class CrashTest : public InterruptionTest, public testing::WithParamInterface<std::tuple<const char*, Place>> {
 protected:
  std::string ledger_path() const { return in_file() ? Output("ledger.json") : "token"; }
  static bool in_file() { return std::get<1>(GetParam()) == Place::kFile; }

  std::unique_ptr<Ledger> OpenLedger(Token& token) const {
    if (in_file()) {
      return std::make_unique<FileLedger>(token, ledger_path(), RandomOctets);
    }
    return *TokenLedger::Open(token, "replica", SystemTime, RandomOctets);
  }

  static ChangeRequest At(std::int64_t version) {
    return {.client_id = "orders", .expected_version = version, .request_id = {}, .digest = {}, .forced = false};
  }

  // The client has a key that signs, and one that is withdrawn.
  PreparedChange Prepare() {
    const std::string verb = std::get<0>(GetParam());
    Session session(hsm_);
    const auto ledger = OpenLedger(*session.token);
    const auto ring = *KeyRing::Load(*session.token, *ledger, Clients(), SystemTime, RandomOctets);
    KeyCustodian custodian(*session.token, *ledger, *session.certifier, *ring, RandomOctets);
    const auto signing = *custodian.Generate(At(0), Replica::NewKey());
    const auto withdrawn = *custodian.Generate(At(1), Replica::NewKey());
    EXPECT_TRUE(custodian.Revoke(At(2), withdrawn));
    if (verb == "rotate") {
      return {.verb = verb, .rest = {}, .done = [](const auto& after) { return after.keys.size() == 3; }};
    }
    if (verb == "destroy") {
      return {.verb = verb, .rest = {withdrawn}, .done = [](const auto& after) { return after.keys.size() == 1; }};
    }
    CertificateAuthority root("root", CertificateAuthority::kEc);
    const auto chain = root.Sign(*custodian.CreateCsr("orders", signing, "CN=orders", {})) + root.certificate();
    return {.verb = verb, .rest = {signing, hsm_.Write("chain.pem", chain)}, .done = [signing](const auto& after) {
              return FindKid(after.keys, signing)->certificates.size() == 2;
            }};
  }

  std::vector<std::string> Command(const PreparedChange& change, std::size_t point) const {
    std::vector<std::string> words = {change.verb, std::to_string(point)};
    words.insert(words.end(), change.rest.begin(), change.rest.end());
    return Arguments(ledger_path(), words);
  }

  // The state is the one before or the one after, and says which; what is left besides is named, and goes.
  void ExpectWhole(const PreparedChange& change, bool expect_done) {
    Session session(hsm_);
    const auto ledger = OpenLedger(*session.token);
    const auto ring = KeyRing::Load(*session.token, *ledger, Clients(), SystemTime, RandomOctets);
    ASSERT_TRUE(ring) << ring.error().ToString();
    EXPECT_TRUE((*ring)->SigningKeyOf("orders"));
    const auto state = ledger->Read()->ledgers.at("orders");
    EXPECT_EQ(state.version, expect_done ? 4 : 3);
    EXPECT_EQ(change.done(state), expect_done);

    const auto named = *FindStrays(*session.token, {"orders"}, ledger->Read()->ledgers);
    const auto removed = RemoveStrays(*session.token, *ledger, "orders");
    ASSERT_TRUE(removed) << removed.error().ToString();
    EXPECT_EQ(removed->size(), named.size());
    ExpectExactly(*session.token, state);
    EXPECT_EQ(ledger->Read()->ledgers.at("orders"), state);
    EXPECT_TRUE(session.token->FindData("assertiond claim", {})->empty());
    // One of before, and one more if it was killed before it removed that.
    EXPECT_LE(session.token->FindData("assertiond ledger", {})->size(), in_file() ? 0U : 3U);
  }

  // The token holds what the ledger says, and nothing else of the client.
  static void ExpectExactly(Token& token, const ClientLedger& ledger) {
    const auto contents = *token.Read({"orders"});
    std::size_t certificates = 0;
    for (const auto& record : ledger.keys) {
      certificates += record.certificates.size();
    }
    EXPECT_EQ(contents.keys.size(), ledger.keys.size());
    EXPECT_EQ(contents.certificates.size(), certificates);
    EXPECT_EQ(contents.public_keys.size(), ledger.keys.size());
  }
};

TEST_P(CrashTest, AtEveryStepLeavesTheStateBeforeOrAfter) {
  const auto change = Prepare();
  Keep();
  Child undisturbed(Command(change, 0));
  ASSERT_EQ(undisturbed.Wait(), 0);
  const auto& points = undisturbed.lines();
  // With a file the ledger changes between two calls of the token: where is told by what has become of the state.
  const auto committed = std::ranges::find(points, "after StoreData assertiond ledger") - points.begin();
  EXPECT_EQ(committed == std::ssize(points), in_file());
  bool seen_done = false;
  for (std::size_t point = 1; point <= points.size(); ++point) {
    SCOPED_TRACE(points[point - 1] + " (" + std::to_string(point) + ")");
    Restore();
    const int status = Child(Command(change, point)).Wait();
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    if (in_file()) {
      const Session session(hsm_);
      seen_done = OpenLedger(*session.token)->Read()->ledgers.at("orders").version == 4 || seen_done;
    } else {
      seen_done = static_cast<std::ptrdiff_t>(point) > committed;
    }
    ExpectWhole(change, seen_done);
    if (!seen_done) {
      ASSERT_EQ(Child(Command(change, 0)).Wait(), 0);
      ExpectWhole(change, true);
    }
    if (HasFailure()) {
      return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Changes, CrashTest,
                         testing::Values(std::tuple("rotate", Place::kToken), std::tuple("import", Place::kToken),
                                         std::tuple("destroy", Place::kToken), std::tuple("rotate", Place::kFile),
                                         std::tuple("import", Place::kFile), std::tuple("destroy", Place::kFile)),
                         [](const auto& kind) {
                           return std::string(std::get<0>(kind.param)) +
                                  (std::get<1>(kind.param) == Place::kFile ? "InAFile" : "OnTheToken");
                         });

class TakeoverTest : public InterruptionTest, public testing::WithParamInterface<Place> {
 protected:
  static std::string Unsigned(const std::string& client_id, int version) {
    return R"({"client_id":")" + client_id + R"(","version":)" + std::to_string(version) +
           R"(,"keys":[],"requests":[]})";
  }

  std::string ledger_path() const { return GetParam() == Place::kFile ? Output("ledger.json") : "token"; }

  std::unique_ptr<Ledger> OpenLedger(Token& token) const {
    if (GetParam() == Place::kFile) {
      return std::make_unique<FileLedger>(token, ledger_path(), RandomOctets);
    }
    return *TokenLedger::Open(token, "replica", SystemTime, RandomOctets);
  }

  // As a version from before the seal left it.
  void Prepare() const {
    if (GetParam() == Place::kFile) {
      std::ofstream(ledger_path()) << R"({"clients":[)" << Unsigned("orders", 7) << "," << Unsigned("billing", 3)
                                   << "]}";
      std::filesystem::permissions(ledger_path(),
                                   std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    }
    const Session session(hsm_);
    for (const auto& [client_id, version] : {std::pair{"orders", 6}, std::pair{"orders", 7}, std::pair{"billing", 3}}) {
      if (GetParam() == Place::kToken) {
        ASSERT_TRUE(session.token->StoreData("assertiond ledger", client_id, Unsigned(client_id, version)));
      }
    }
    ASSERT_TRUE(session.token->StoreData("assertiond pending", "old", R"({"method":"RevokeKey"})"));
  }

  // Whatever is signed or not by now: it reads as it was.
  void ExpectWhole(bool over) const {
    const Session session(hsm_);
    const auto ledger = OpenLedger(*session.token);
    const auto contents = ledger->Read();
    ASSERT_TRUE(contents) << contents.error().ToString();
    ASSERT_EQ(contents->ledgers.size(), 2U);
    EXPECT_EQ(contents->ledgers.at("orders").version, 7);
    EXPECT_EQ(contents->ledgers.at("billing").version, 3);
    EXPECT_TRUE(contents->errors.empty());
    EXPECT_TRUE(contents->strays.empty());
    if (over) {
      EXPECT_EQ(contents->signed_by.size(), 2U);
      EXPECT_TRUE(session.token->FindData("assertiond pending", {})->empty());
      EXPECT_TRUE(ledger->TakeOver()->clients.empty());
    }
  }
};

TEST_P(TakeoverTest, KilledAtEveryStepLosesNothingAndGoesOn) {
  Prepare();
  Keep();
  Child undisturbed(Arguments(ledger_path(), {"takeover", "0"}));
  ASSERT_EQ(undisturbed.Wait(), 0);
  const auto& points = undisturbed.lines();
  ASSERT_GE(points.size(), 6U);  // two keys, and what was pending
  ExpectWhole(/*over=*/true);
  for (std::size_t point = 1; point <= points.size(); ++point) {
    SCOPED_TRACE(points[point - 1] + " (" + std::to_string(point) + ")");
    Restore();
    const int status = Child(Arguments(ledger_path(), {"takeover", std::to_string(point)})).Wait();
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    ExpectWhole(point == points.size());
    ASSERT_EQ(Child(Arguments(ledger_path(), {"takeover", "0"})).Wait(), 0);
    ExpectWhole(/*over=*/true);
    if (HasFailure()) {
      return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Places, TakeoverTest, testing::Values(Place::kToken, Place::kFile),
                         [](const auto& place) { return place.param == Place::kFile ? "InAFile" : "OnTheToken"; });

// kMachine: SoftHSM2, and a lock that both take. kToken: SoftHSM2 as a network HSM that shows each process what the
// other stored (see faulty_hsm.cc), and no lock in common.
enum class Between { kMachine, kToken };

class TwoProcessesTest : public InterruptionTest, public testing::WithParamInterface<Between> {
 protected:
  TwoProcessesTest() {
    if (GetParam() == Between::kToken) {
      for (const auto& [name, value] : Variables()) {
        setenv(name, value.c_str(), 1);
      }
    }
  }
  ~TwoProcessesTest() override {
    for (const auto& [name, value] : Variables()) {
      unsetenv(name);
    }
  }

  std::vector<std::string> Reschedules(const std::string& holder, const std::vector<std::string>& command) const {
    auto arguments = Arguments("token", command, holder);
    auto& uri = arguments.front();
    if (GetParam() == Between::kToken) {
      uri.replace(uri.find(SOFTHSM2_MODULE), std::string_view(SOFTHSM2_MODULE).size(), kFaultyHsmModule);
    }
    return arguments;
  }

 private:
  std::map<const char*, std::string> Variables() const {
    return {{"FAULTY_HSM_MODULE", SOFTHSM2_MODULE}, {"FAULTY_HSM_STORES", Output("stores")}, {"LOCK_BY_HOLDER", "1"}};
  }
};

TEST_P(TwoProcessesTest, EachChangeIsAcceptedOrToldThatItIsStale) {
  constexpr int kChangesEach = 100;
  std::string kid;
  std::int64_t version = 0;
  {
    Session session(hsm_);
    Replica replica(*session.token, *session.certifier, Clients(), now_);
    replica.Generate("orders");
    kid = replica.Generate("orders");
    version = replica.VersionOf("orders");
  }
  const auto first = (now_ + days(30)).time_since_epoch().count();
  const std::string count = std::to_string(kChangesEach);
  Child one(Reschedules("one", {"reschedule", count, kid, std::to_string(first)}));
  ASSERT_EQ(one.ReadLine(), "ready");  // SoftHSM2's C_Login may fail when two processes log in at the same moment
  Child two(Reschedules("two", {"reschedule", count, kid, std::to_string(first + 1'000'000)}));
  ASSERT_EQ(two.ReadLine(), "ready");
  for (auto* child : {&one, &two}) {
    child->LetGo();
  }
  EXPECT_EQ(one.Wait(), 0);
  EXPECT_EQ(two.Wait(), 0);
  std::map<std::int64_t, std::int64_t> accepted;  // sign_from by version
  int told = 0;
  for (const auto* child : {&one, &two}) {
    EXPECT_EQ(child->lines().size(), static_cast<std::size_t>(kChangesEach));
    for (const auto& line : child->lines()) {
      std::istringstream words(line);
      std::string outcome;
      std::int64_t of_version = 0;
      std::int64_t sign_from = 0;
      words >> outcome >> of_version >> sign_from;
      told += outcome == "aborted" ? 1 : 0;
      if (outcome == "accepted") {
        EXPECT_TRUE(accepted.emplace(of_version, sign_from).second) << "version " << of_version << " twice";
      }
    }
  }
  EXPECT_EQ(std::ssize(accepted) + told, 2 * kChangesEach);
  EXPECT_GT(told, 0) << "the two never met";
  for (const auto& [of_version, sign_from] : accepted) {
    EXPECT_EQ(of_version, ++version);
  }
  Session session(hsm_);
  Replica replica(*session.token, *session.certifier, Clients(), now_, "three");
  EXPECT_EQ(replica.VersionOf("orders"), version);
  EXPECT_EQ(replica.Record("orders", kid).sign_from.time_since_epoch().count(), accepted.rbegin()->second);
  EXPECT_TRUE(session.token->FindData("assertiond claim", {})->empty());
  EXPECT_EQ(session.token->FindData("assertiond ledger", {})->size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Between, TwoProcessesTest, testing::Values(Between::kMachine, Between::kToken),
                         [](const auto& kind) { return kind.param == Between::kMachine ? "ALock" : "TheTokenAlone"; });

}  // namespace
}  // namespace assertion
