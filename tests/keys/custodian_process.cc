// A process that changes the keys of client "orders" on a SoftHSM2 token, for tests that kill one or run two at once:
//
//   custodian_process URI PIN_FILE LEDGER HOLDER COMMAND…
//
//   LEDGER: "token" or a file's path.
//   rotate POINT | import POINT KID FILE | destroy POINT KID   one change; it kills itself (SIGKILL) at that point, or,
//                                                              POINT being 0, prints every point's name and goes on
//   takeover POINT               the ledger's first start, the same way
//   reschedule COUNT KID FIRST   COUNT times: reads the version, then moves the key's sign_from to FIRST, FIRST + 1, …
//                                seconds; prints "accepted VERSION SECONDS" or "aborted". Before, it prints "ready"
//                                and waits for the end of its standard input
//
// SOFTHSM2_CONF comes with the environment. With LOCK_BY_HOLDER each HOLDER has a lock of its own. Exit status 0 when
// every change went as described; 1 otherwise.

#include <openssl/rand.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "keys/file_ledger.h"
#include "p11/hsm_token.h"
#include "replica.h"
#include "wrapped_token.h"

namespace assertion {
namespace {

// Counts the moments before and after each call that changes the token, and dies at the chosen one.
class CrashingToken final : public WrappedToken {
 public:
  CrashingToken(Token& real, int point) : WrappedToken(real), point_(point) {}

  Result<TokenKey> GenerateKeyPair(const NewKey& key) override {
    return Around("GenerateKeyPair", [&] { return WrappedToken::GenerateKeyPair(key); });
  }
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override {
    return Around("StoreCertificate", [&] { return WrappedToken::StoreCertificate(label, id, subject, der); });
  }
  Status DestroyKey(BytesView id) override {
    return Around("DestroyKey", [&] { return WrappedToken::DestroyKey(id); });
  }
  Status DestroyObject(ObjectHandle object) override {
    return Around("DestroyObject", [&] { return WrappedToken::DestroyObject(object); });
  }
  Status StoreData(std::string_view application, std::string_view label, std::string_view value) override {
    return Around("StoreData " + std::string(application),
                  [&] { return WrappedToken::StoreData(application, label, value); });
  }

 private:
  template <typename Call>
  std::invoke_result_t<Call> Around(const std::string& name, const Call& call) {
    Reach("before " + name);
    auto result = call();
    Reach("after " + name);
    return result;
  }

  void Reach(const std::string& name) {
    ++reached_;
    if (point_ == 0) {
      std::printf("%s\n", name.c_str());
    } else if (reached_ == point_) {
      raise(SIGKILL);
    }
  }

  const int point_;
  int reached_ = 0;
};

int ToInt(const std::string& text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int Reschedule(KeyCustodian& custodian, KeyRing& ring, const std::vector<std::string>& arguments) {
  std::printf("ready\n");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  const int count = ToInt(arguments.at(1));
  const auto& kid = arguments.at(2);
  const auto first = std::stoll(arguments.at(3));
  for (int i = 0; i < count; ++i) {
    if (const auto refreshed = ring.Refresh(); !refreshed) {
      std::fprintf(stderr, "%s\n", refreshed.error().ToString().c_str());
      return 1;
    }
    const auto version = ring.Snapshot()->at("orders").version;
    const auto changed = custodian.Reschedule(
        {.client_id = "orders", .expected_version = version, .request_id = {}, .digest = {}, .forced = false}, kid,
        {.publish_from = {},
         .sign_from = Time(std::chrono::seconds(first + i)),
         .sign_until = {},
         .publish_until = {}});
    if (changed) {
      std::printf("accepted %lld %lld\n", static_cast<long long>(version + 1), first + i);
    } else if (changed.error().code == Code::kAborted) {
      std::printf("aborted\n");
    } else {
      std::fprintf(stderr, "%s\n", changed.error().ToString().c_str());
      return 1;
    }
  }
  return 0;
}

Result<std::string> ChangeOnce(KeyCustodian& custodian, KeyRing& ring, const std::vector<std::string>& arguments) {
  const auto& verb = arguments.front();
  const ChangeRequest change{.client_id = "orders",
                             .expected_version = ring.Snapshot()->at("orders").version,
                             .request_id = {},
                             .digest = {},
                             .forced = false};
  if (verb == "rotate") {
    return custodian.Rotate(change, Replica::NewKey(), {});
  }
  if (verb == "import") {
    return custodian.ImportCertificate(change, arguments.at(2), ReadFile(arguments.at(3)));
  }
  return custodian.Destroy(change, arguments.at(2));
}

// Ends the process when there is none.
template <typename T>
T Need(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().ToString().c_str());
    std::exit(1);
  }
  return std::move(*result);
}

int Run(const std::vector<std::string>& arguments) {
  const auto uri = Need(TokenUri::Parse(arguments.at(1)));
  const auto module = Need(p11::Module::Load(uri.module_path()));
  const auto directory = arguments.at(2).substr(0, arguments.at(2).rfind('/'));
  const auto lock = std::getenv("LOCK_BY_HOLDER") == nullptr ? "" : directory + "/lock-" + arguments.at(4);
  const auto token = Need(p11::HsmToken::LogIn(module, Need(module->FindToken(uri)), arguments.at(2), directory, lock));
  const auto certifier = Need(x509::Certifier::New(uri.module_path()));
  const std::vector<std::string> command(arguments.begin() + 5, arguments.end());
  const bool reschedules = command.front() == "reschedule";
  CrashingToken crashing(*token, reschedules ? -1 : ToInt(command.at(1)));
  std::unique_ptr<Ledger> ledger = std::make_unique<FileLedger>(crashing, arguments.at(3), RandomOctets);
  if (arguments.at(3) == "token") {
    ledger = Need(TokenLedger::Open(crashing, arguments.at(4), SystemTime, RandomOctets));
  }
  if (command.front() == "takeover") {
    Need(ledger->TakeOver());
    return 0;
  }
  const auto ring = Need(KeyRing::Load(crashing, *ledger, {Named("orders", Binding::kJwks)}, SystemTime, RandomOctets));
  KeyCustodian custodian(crashing, *ledger, *certifier, *ring, RandomOctets);
  if (reschedules) {
    return Reschedule(custodian, *ring, command);
  }
  Need(ChangeOnce(custodian, *ring, command));
  return 0;
}

}  // namespace
}  // namespace assertion

int main(int argc, char** argv) { return assertion::Run({argv, argv + argc}); }
