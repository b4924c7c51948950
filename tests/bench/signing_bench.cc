// How much of the token's speed the service passes on. In one run, on one token and one key: signs with Cryptoki
// directly, then asks a running assertiond for assertions, in turns, so that a machine that drifts slows both alike.

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/connection.h"
#include "bench/load.h"
#include "bench/quantile.h"

namespace assertion::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// ---- Cryptoki directly ----

// What JWS hands to the HSM for a typical assertion: encoded header and claims, 400 octets.
const std::string kSigningInput(400, 'e');

void Check(CK_RV rv, const char* function) {
  if (rv != CKR_OK) {
    throw std::runtime_error(std::string(function) + " returned " + std::to_string(rv));
  }
}

class Token {
 public:
  Token(const std::string& uri_text, std::string client_id) : client_id_(std::move(client_id)) {
    const std::unique_ptr<P11KitUri, void (*)(P11KitUri*)> uri(p11_kit_uri_new(), p11_kit_uri_free);
    if (p11_kit_uri_parse(uri_text.c_str(), P11_KIT_URI_FOR_ANY, uri.get()) != 0) {
      throw std::runtime_error("\"hsm\" is not a PKCS#11 URI");
    }
    const auto* module_path = p11_kit_uri_get_module_path(uri.get());
    const auto* pin_source = p11_kit_uri_get_pin_source(uri.get());
    if (module_path == nullptr || pin_source == nullptr) {
      throw std::runtime_error("\"hsm\" names no module-path or no pin-source");
    }
    LoadModule(module_path);
    FindSlot(uri.get());
    Login(pin_source);
  }

  ~Token() { functions_->C_Finalize(nullptr); }
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;

  [[nodiscard]] CK_SESSION_HANDLE OpenSession() const {
    CK_SESSION_HANDLE session{};
    Check(functions_->C_OpenSession(slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &session), "C_OpenSession");
    return session;
  }

  void CloseSession(CK_SESSION_HANDLE session) const { functions_->C_CloseSession(session); }

  [[nodiscard]] CK_OBJECT_HANDLE FindPrivateKey(CK_SESSION_HANDLE session) const {
    CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
    auto label = client_id_;
    std::array<CK_ATTRIBUTE, 2> wanted{
        {{CKA_CLASS, &object_class, sizeof object_class}, {CKA_LABEL, label.data(), label.size()}}};
    std::array<CK_OBJECT_HANDLE, 2> found{};
    CK_ULONG count = 0;
    Check(functions_->C_FindObjectsInit(session, wanted.data(), wanted.size()), "C_FindObjectsInit");
    Check(functions_->C_FindObjects(session, found.data(), found.size(), &count), "C_FindObjects");
    Check(functions_->C_FindObjectsFinal(session), "C_FindObjectsFinal");
    if (count != 1) {
      throw std::runtime_error(std::to_string(count) + " private keys are labelled " + client_id_ + ", not one");
    }
    return found[0];
  }

  void Sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) const {
    CK_MECHANISM mechanism{CKM_SHA256_RSA_PKCS, nullptr, 0};
    auto input = kSigningInput;
    std::array<CK_BYTE, 512> signature{};
    CK_ULONG size = signature.size();
    Check(functions_->C_SignInit(session, &mechanism, key), "C_SignInit");
    Check(functions_->C_Sign(session, reinterpret_cast<CK_BYTE*>(input.data()), input.size(), signature.data(), &size),
          "C_Sign");
  }

 private:
  void LoadModule(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      throw std::runtime_error(dlerror());
    }
    const auto get_functions = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
    if (get_functions == nullptr) {
      throw std::runtime_error(std::string(path) + " is no PKCS#11 module");
    }
    Check(get_functions(&functions_), "C_GetFunctionList");
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    Check(functions_->C_Initialize(&arguments), "C_Initialize");
  }

  void FindSlot(P11KitUri* uri) {
    std::array<CK_SLOT_ID, 64> slots{};
    CK_ULONG count = slots.size();
    Check(functions_->C_GetSlotList(CK_TRUE, slots.data(), &count), "C_GetSlotList");
    for (const auto slot : std::span(slots).first(count)) {
      CK_TOKEN_INFO info{};
      if (functions_->C_GetTokenInfo(slot, &info) == CKR_OK && (info.flags & CKF_TOKEN_INITIALIZED) != 0 &&
          p11_kit_uri_match_token_info(uri, &info) != 0) {
        slot_ = slot;
        return;
      }
    }
    throw std::runtime_error("no token matches \"hsm\"; is SOFTHSM2_CONF set?");
  }

  void Login(std::string_view pin_source) {
    if (pin_source.starts_with("file:")) {
      pin_source.remove_prefix(5);
    }
    std::ifstream file{std::string(pin_source)};
    std::string pin;
    if (!std::getline(file, pin)) {
      throw std::runtime_error("cannot read the PIN file");
    }
    const auto session = OpenSession();  // stays open: the token logs out with the last session
    Check(functions_->C_Login(session, CKU_USER, reinterpret_cast<CK_BYTE*>(pin.data()), pin.size()), "C_Login");
  }

  std::string client_id_;
  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_SLOT_ID slot_{};
};

// ---- what a round gives ----

struct Round {
  double per_second = 0;
  double own_cpu_us = 0;             // what this process itself spent, a call: on few cores the service lacks it
  std::vector<double> milliseconds;  // one a call
};

Seconds OwnCpuTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return Seconds(seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

// Signs on `sessions` sessions, each with its own thread, until the time is up.
Round SignDirectly(const Token& token, int sessions, Seconds time) {
  std::vector<std::vector<double>> taken(static_cast<std::size_t>(sessions));
  std::vector<std::exception_ptr> failures(taken.size());
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(time);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      threads.emplace_back([&, i] {
        try {
          const auto session = token.OpenSession();
          const auto key = token.FindPrivateKey(session);
          for (auto before = Clock::now(); before < end;) {
            token.Sign(session, key);
            const auto after = Clock::now();
            taken[i].push_back(Seconds(after - before).count() * 1e3);
            before = after;
          }
          token.CloseSession(session);
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    }
  }
  const Seconds elapsed = Clock::now() - begin;
  Round round;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (failures[i]) {
      std::rethrow_exception(failures[i]);
    }
    round.milliseconds.insert(round.milliseconds.end(), taken[i].begin(), taken[i].end());
  }
  round.per_second = static_cast<double>(round.milliseconds.size()) / elapsed.count();
  return round;
}

// Keeps so many CreateAssertion calls in flight until the time is up.
Round Ask(Stub& server, const std::string& client_id, int in_flight, Seconds time) {
  std::mutex mutex;
  Round round;
  std::string failure;
  Load load(server, client_id, Seconds(30), [&](const Load::Answer& answer) {
    const std::scoped_lock lock(mutex);
    if (!answer.status.ok() || answer.response.assertion().empty()) {
      failure = "status " + std::to_string(answer.status.error_code()) + ": " + answer.status.error_message();
    } else {
      round.milliseconds.push_back(answer.milliseconds());
    }
  });
  const auto cpu_begin = OwnCpuTime();
  const auto elapsed = load.Keep(static_cast<std::size_t>(in_flight), time);
  const auto cpu = OwnCpuTime() - cpu_begin;
  if (!failure.empty()) {
    throw std::runtime_error("CreateAssertion: " + failure);
  }
  const auto calls = static_cast<double>(round.milliseconds.size());
  round.per_second = calls / elapsed.count();
  round.own_cpu_us = cpu.count() * 1e6 / calls;
  return round;
}

// ---- statistics ----

double Median(const std::vector<double>& values) { return Quantile(values, 0.5); }

struct Series {
  std::string name;
  std::vector<double> per_second;    // one a round
  std::vector<double> milliseconds;  // of all rounds
  std::vector<double> own_cpu_us;    // one a round

  void Add(Round round) {
    per_second.push_back(round.per_second);
    own_cpu_us.push_back(round.own_cpu_us);
    milliseconds.insert(milliseconds.end(), round.milliseconds.begin(), round.milliseconds.end());
  }
};

// The median of the rounds' own ratios: what slows a whole round slows both of its parts.
double Ratio(const Series& service, const Series& raw) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < service.per_second.size(); ++i) {
    ratios.push_back(service.per_second[i] / raw.per_second[i]);
  }
  return Median(ratios);
}

nlohmann::ordered_json AsJson(const Series& series) {
  return {{"name", series.name},
          {"per_second", Median(series.per_second)},
          {"rounds_per_second", series.per_second},
          {"p50_ms", Quantile(series.milliseconds, 0.50)},
          {"p99_ms", Quantile(series.milliseconds, 0.99)},
          {"client_cpu_us", Median(series.own_cpu_us)}};
}

void Print(const Series& series, std::optional<double> ratio) {
  std::printf("%-22s %8.0f/s   (%.0f to %.0f)   p50 %6.2f ms   p99 %6.2f ms", series.name.c_str(),
              Median(series.per_second), std::ranges::min(series.per_second), std::ranges::max(series.per_second),
              Quantile(series.milliseconds, 0.50), Quantile(series.milliseconds, 0.99));
  if (ratio) {
    std::printf("   %.2f of raw 2; the client's own CPU %.0f us a call", *ratio, Median(series.own_cpu_us));
  }
  std::printf("\n");
}

int Run(int argc, char** argv) {
  std::string config_path;
  std::string client_id = "orders";
  std::string json_path;
  std::string unaudited;
  std::string tls;
  std::string tls_folder;
  int rounds = 7;
  double seconds = 2;
  CLI::App app{"Measures assertiond against the token itself. assertiond must be running on the same configuration."};
  app.add_option("--config", config_path, "the configuration file of assertiond")->required();
  app.add_option("--client-id", client_id, "whose key to use")->capture_default_str();
  app.add_option("--rounds", rounds, "how often to take turns")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--seconds", seconds, "length of a turn")->capture_default_str()->check(CLI::Range(0.1, 600.0));
  app.add_option("--unaudited", unaudited, "unix:/PATH of another server on the same token, without an audit log");
  app.add_option("--tls-folder", tls_folder, "has authorities.pem, client.pem and client.key");
  app.add_option("--tls", tls, "HOST:PORT where the same server speaks TLS")->needs("--tls-folder");
  app.add_option("--json", json_path, "write the results to this file");
  CLI11_PARSE(app, argc, argv);

  std::ifstream config_file(config_path);
  const auto config = nlohmann::json::parse(config_file);
  const auto listen = config.at("listen").get<std::string>();
  const Token token(config.at("hsm").get<std::string>(), client_id);
  const auto stub = ConnectLocally(listen);
  const auto unaudited_stub = ConnectLocally(unaudited.empty() ? listen : unaudited);
  const auto tls_stub = tls.empty() ? ConnectLocally(listen) : ConnectByTls(tls, tls_folder);

  const Seconds turn(seconds);
  Series raw_1{.name = "raw, 1 session", .per_second = {}, .milliseconds = {}, .own_cpu_us = {}};
  Series raw_2{.name = "raw, 2 sessions", .per_second = {}, .milliseconds = {}, .own_cpu_us = {}};
  Series service_16{.name = "service, 16 in flight", .per_second = {}, .milliseconds = {}, .own_cpu_us = {}};
  Series service_64{.name = "service, 64 in flight", .per_second = {}, .milliseconds = {}, .own_cpu_us = {}};
  Series no_audit_16{.name = "no audit, 16 in flight", .per_second = {}, .milliseconds = {}, .own_cpu_us = {}};
  Series tls_16{.name = "TLS, 16 in flight", .per_second = {}, .milliseconds = {}, .own_cpu_us = {}};
  const auto ask = [&](Stub& server, int in_flight, Seconds time) { return Ask(server, client_id, in_flight, time); };

  SignDirectly(token, 2, Seconds(0.5));  // not counted: caches, connection, clock frequency
  for (Stub* server : {&*stub, &*unaudited_stub, &*tls_stub}) {
    ask(*server, 64, Seconds(0.5));
  }
  for (int round = 0; round < rounds; ++round) {
    // Every other round backwards: a steady drift then favours neither side.
    struct Turn {
      Series* series;
      int width;
      Stub* server;  // null: the token itself
    };
    std::vector<Turn> forth{
        {&raw_1, 1, nullptr}, {&raw_2, 2, nullptr}, {&service_16, 16, stub.get()}, {&service_64, 64, stub.get()}};
    if (!unaudited.empty()) {
      forth.push_back({&no_audit_16, 16, unaudited_stub.get()});
    }
    if (!tls.empty()) {
      forth.push_back({&tls_16, 16, tls_stub.get()});
    }
    for (std::size_t i = 0; i < forth.size(); ++i) {
      const auto [series, width, server] = forth[round % 2 == 0 ? i : forth.size() - 1 - i];
      series->Add(server == nullptr ? SignDirectly(token, width, turn) : ask(*server, width, turn));
    }
  }

  const auto ratio_16 = Ratio(service_16, raw_2);
  const auto ratio_64 = Ratio(service_64, raw_2);
  std::printf("RSA-2048, RS256; %d rounds of %.1f s each, medians (smallest to largest round); %u cores\n", rounds,
              seconds, std::thread::hardware_concurrency());
  Print(raw_1, std::nullopt);
  Print(raw_2, std::nullopt);
  Print(service_16, ratio_16);
  Print(service_64, ratio_64);
  nlohmann::ordered_json beside = nlohmann::ordered_json::array();
  for (const auto* series : {&no_audit_16, &tls_16}) {
    if (!series->per_second.empty()) {
      Print(*series, Ratio(*series, raw_2));
      std::printf("%-22s %.2f of the service, 16 in flight\n", "", Ratio(*series, service_16));
      beside.push_back(AsJson(*series));
      beside.back()["of_service_16"] = Ratio(*series, service_16);
    }
  }
  if (!json_path.empty()) {
    std::ofstream out(json_path);
    out << nlohmann::ordered_json{{"rounds", rounds},
                                  {"seconds", seconds},
                                  {"cores", std::thread::hardware_concurrency()},
                                  {"series", {AsJson(raw_1), AsJson(raw_2), AsJson(service_16), AsJson(service_64)}},
                                  {"beside", beside},
                                  {"ratio_16", ratio_16},
                                  {"ratio_64", ratio_64}}
               .dump(2)
        << '\n';
    if (!out.flush()) {
      throw std::runtime_error("cannot write " + json_path);
    }
  }
  return 0;
}

}  // namespace
}  // namespace assertion::bench

int main(int argc, char** argv) {
  try {
    return assertion::bench::Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "signing_bench: %s\n", error.what());
    return 1;
  }
}
