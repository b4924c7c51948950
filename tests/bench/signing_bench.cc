// How much of the token's speed the service passes on. In one run, on one token: signs with Cryptoki directly, then
// asks a running assertiond for assertions, in turns, so that a machine that drifts slows both alike. It measures;
// report.py judges.

#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/connection.h"
#include "bench/load.h"
#include "bench/peer.h"
#include "bench/process.h"
#include "bench/quantile.h"
#include "bench/raw_token.h"
#include "bench/stage_times.h"

namespace assertion::bench {
namespace {

using Clock = Load::Clock;
using Seconds = Load::Seconds;

struct Options {
  std::string config;
  std::vector<std::string> client_ids = {"orders"};
  std::string json;
  std::string gaps;
  std::string unaudited;
  std::string bare;
  pid_t bare_server = 0;
  std::vector<std::string> peers;
  std::string tls;
  std::string tls_folder;
  pid_t server = 0;
  int rounds = 7;
  double seconds = 1;
  std::vector<int> raw = {1, 2, 4, 8};
  std::vector<int> unary = {1, 16, 64, 256};
  std::vector<int> stream = {64, 256};
  int beside = 64;         // in flight over TLS, and without an audit log
  double share = 0.7;      // of what the service can do, for latencies
  double per_second = 0;   // for latencies; 0: by that share
  double latency_for = 2;  // seconds
};

// ---- what a turn gives ----

struct Turn {
  double per_second = 0;
  double cpu_us = 0;         // of who signs, for each signature: this process's in the raw loop, else the server's
  double client_cpu_us = 0;  // of this process, for each call: on few cores the service lacks it
  std::vector<double> milliseconds;  // one a call
  StageTimes stages;                 // in the server; empty: not asked for
};

// Signs on so many sessions, each with its own thread, until the time is up.
Turn SignDirectly(const RawToken& token, const std::string& client_id, const RawMechanism& mechanism, int sessions,
                  Seconds time) {
  std::vector<std::vector<double>> taken(static_cast<std::size_t>(sessions));
  std::vector<std::exception_ptr> failures(taken.size());
  const auto cpu = CpuTime(getpid());
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(time);
  {
    std::vector<std::jthread> threads;
    threads.reserve(taken.size());
    for (std::size_t i = 0; i < taken.size(); ++i) {
      threads.emplace_back([&, i] {
        try {
          const auto session = token.OpenSession();
          const auto key = token.FindPrivateKey(session, client_id);
          for (auto before = Clock::now(); before < end;) {
            token.Sign(session, key, mechanism);
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
  Turn turn;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (failures[i]) {
      std::rethrow_exception(failures[i]);
    }
    turn.milliseconds.insert(turn.milliseconds.end(), taken[i].begin(), taken[i].end());
  }
  const auto signatures = static_cast<double>(turn.milliseconds.size());
  turn.per_second = signatures / elapsed.count();
  turn.cpu_us = (CpuTime(getpid()) - cpu).count() * 1e6 / signatures;
  return turn;
}

// How the service is asked.
struct Way {
  Stub* stub;
  std::string client_id;
  bool by_stream;
  std::string metrics = {};  // HOST:PORT of the server, to tell its stages
};

using WayOf = std::function<Way()>;  // of a turn, when it begins

// Puts a load on the service and measures it; `apply` tells how long it took.
template <typename Apply>
Turn Ask(const Way& way, pid_t server, const Apply& apply) {
  std::mutex mutex;
  Turn turn;
  std::string failure;
  const auto note = [&](const Load::Answer& answer) {
    const std::scoped_lock lock(mutex);
    if (!answer.status.ok() || answer.response.assertion().empty()) {
      failure = "status " + std::to_string(answer.status.error_code()) + ": " + answer.status.error_message();
    } else {
      turn.milliseconds.push_back(answer.milliseconds());
    }
  };
  constexpr Seconds kDeadline(30);
  const auto load = way.by_stream
                        ? std::unique_ptr<Load>(std::make_unique<StreamLoad>(*way.stub, way.client_id, kDeadline, note))
                        : std::make_unique<UnaryLoad>(*way.stub, way.client_id, kDeadline, note);
  const auto stages = way.metrics.empty() ? StageTimes() : StageTimes::Read(way.metrics);
  const auto own_cpu = CpuTime(getpid());
  const auto server_cpu = server != 0 ? CpuTime(server) : Seconds(0);
  const Seconds elapsed = apply(*load);
  const auto calls = static_cast<double>(turn.milliseconds.size());
  turn.client_cpu_us = (CpuTime(getpid()) - own_cpu).count() * 1e6 / calls;
  turn.cpu_us = server != 0 ? (CpuTime(server) - server_cpu).count() * 1e6 / calls : 0;
  turn.per_second = calls / elapsed.count();
  if (!way.metrics.empty()) {
    turn.stages = StageTimes::Read(way.metrics);
    turn.stages.Subtract(stages);
  }
  if (!failure.empty()) {
    throw std::runtime_error((way.by_stream ? "CreateAssertions: " : "CreateAssertion: ") + failure);
  }
  return turn;
}

// ---- what the turns of one kind give ----

double Median(const std::vector<double>& values) { return Quantile(values, 0.5); }

struct Series {
  std::string algorithm;
  std::string kind;                     // "raw", "unary", "stream", …
  int width = 0;                        // sessions, or calls in flight
  std::vector<double> per_second = {};  // this and the next three: one a round
  std::vector<double> cpu_us = {};
  std::vector<double> client_cpu_us = {};
  std::vector<double> p99_ms = {};
  std::vector<double> milliseconds = {};  // of all rounds
  StageTimes stages = {};

  void Add(Turn turn) {
    per_second.push_back(turn.per_second);
    cpu_us.push_back(turn.cpu_us);
    client_cpu_us.push_back(turn.client_cpu_us);
    p99_ms.push_back(Quantile(turn.milliseconds, 0.99));
    milliseconds.insert(milliseconds.end(), turn.milliseconds.begin(), turn.milliseconds.end());
    stages.Add(turn.stages);
  }

  nlohmann::ordered_json AsJson() const {
    return {{"algorithm", algorithm},
            {"kind", kind},
            {"width", width},
            {"per_second", per_second},
            {"cpu_us", cpu_us},
            {"client_cpu_us", client_cpu_us},
            {"round_p99_ms", p99_ms},
            {"p50_ms", Quantile(milliseconds, 0.50)},
            {"p99_ms", Quantile(milliseconds, 0.99)},
            {"p999_ms", Quantile(milliseconds, 0.999)},
            {"calls", milliseconds.size()}};
  }
};

// A series, and how its next turn is made.
struct Measurement {
  std::unique_ptr<Series> series;
  std::function<Turn()> turn;
};

struct ConnectedPeer {
  Peer peer;
  std::unique_ptr<Stub> stub;
};

// Everything that one client's key is measured by.
class Plan {
 public:
  Plan(const Options& options, const RawToken& token, Stub& local, Stub* unaudited, Stub* tls, Stub* bare,
       const std::vector<ConnectedPeer>& peers)
      : options_(options), token_(token), local_(local), unaudited_(unaudited), tls_(tls), bare_(bare), peers_(peers) {}

  void Add(const std::string& client_id, const std::string& algorithm) {
    const Series* raw = nullptr;
    for (const auto sessions : options_.raw) {
      const auto* series = Add(algorithm, "raw", sessions,
                               [this, client_id, mechanism = RawMechanism(algorithm, token_.Mechanisms()), sessions] {
                                 return SignDirectly(token_, client_id, mechanism, sessions, Seconds(options_.seconds));
                               });
      raw = raw == nullptr || sessions == 2 ? series : raw;
    }
    const Series* capacity = nullptr;
    const auto by = [&](Stub* stub, bool by_stream) {
      const bool is_server = stub == &local_ || stub == tls_;
      return [way = Way{stub, client_id, by_stream, is_server ? options_.gaps : ""}] { return way; };
    };
    for (const auto in_flight : options_.unary) {
      const auto* series = Keep(algorithm, "unary", in_flight, by(&local_, false), options_.server);
      capacity = capacity == nullptr || in_flight <= options_.beside ? series : capacity;
    }
    for (const auto in_flight : options_.stream) {
      Keep(algorithm, "stream", in_flight, by(&local_, true), options_.server);
    }
    for (const auto& [peer, stub] : peers_) {
      Keep(algorithm, peer.name + ", unary", options_.beside, by(stub.get(), false), peer.server);
      if (peer.has_stream) {
        Keep(algorithm, peer.name + ", stream", options_.beside, by(stub.get(), true), peer.server);
      }
    }
    if (tls_ != nullptr) {
      Keep(algorithm, "unary, TLS", options_.beside, by(tls_, false), options_.server);
      if (!options_.stream.empty()) {
        Keep(algorithm, "stream, TLS", options_.beside, by(tls_, true), options_.server);
      }
    }
    if (unaudited_ != nullptr && algorithm == "RS256") {
      Keep(algorithm, "unary, no audit log", options_.beside, by(unaudited_, false), 0);
    }
    if (options_.latency_for > 0) {
      Offer(algorithm, "latency", *capacity, by(&local_, false), options_.server);
    }
    if (bare_ != nullptr) {
      AddBare(algorithm, *raw, *capacity);
    }
  }

  // Not counted: caches, connections, clock frequency.
  void WarmUp() {
    for (const auto& one : measurements_) {
      if (one.series->width == 2 || one.series->width == options_.beside) {
        one.turn();
      }
    }
  }

  // Every other round backwards: a steady drift then favours neither side.
  void Round(bool forth) {
    for (std::size_t i = 0; i < measurements_.size(); ++i) {
      auto& one = measurements_[forth ? i : measurements_.size() - 1 - i];
      one.series->Add(one.turn());
    }
  }

  void PrintGaps() const {
    for (const auto& one : measurements_) {
      if (const auto& series = *one.series; !series.stages.empty()) {
        std::printf("\n%s, %s, %d at once\n%s", series.algorithm.c_str(), series.kind.c_str(), series.width,
                    series.stages.Table(series.milliseconds).c_str());
      }
    }
  }

  nlohmann::ordered_json AsJson() const {
    auto all = nlohmann::ordered_json::array();
    for (const auto& one : measurements_) {
      all.push_back(one.series->AsJson());
    }
    return all;
  }

 private:
  const Series* Add(const std::string& algorithm, const std::string& kind, int width, std::function<Turn()> turn) {
    auto series = std::make_unique<Series>(Series{.algorithm = algorithm, .kind = kind, .width = width});
    measurements_.push_back({.series = std::move(series), .turn = std::move(turn)});
    return measurements_.back().series.get();
  }

  const Series* Keep(const std::string& algorithm, const std::string& kind, int in_flight, WayOf way, pid_t server) {
    return Add(algorithm, kind, in_flight, [this, in_flight, server, way = std::move(way)] {
      return Ask(way(), server,
                 [&](Load& load) { return load.Keep(static_cast<std::size_t>(in_flight), Seconds(options_.seconds)); });
    });
  }

  // Calls that come as they will, at a share of `capacity`.
  void Offer(const std::string& algorithm, const std::string& kind, const Series& capacity, WayOf way, pid_t server) {
    Add(algorithm, kind, 0, [this, &capacity, server, way = std::move(way)] {
      const auto rate = options_.per_second > 0 ? options_.per_second : options_.share * Median(capacity.per_second);
      return Ask(way(), server, [&](Load& load) {
        load.Offer(rate, Seconds(options_.latency_for));
        return Seconds(options_.latency_for);
      });
    });
  }

  // The bare server takes as much of the processor as a signature takes with two sessions.
  void AddBare(const std::string& algorithm, const Series& raw, const Series& capacity) {
    const auto way = [this, &raw](bool by_stream) {
      return [this, &raw, by_stream] {
        return Way{bare_, std::to_string(std::lround(raw.cpu_us.empty() ? 0 : Median(raw.cpu_us))), by_stream};
      };
    };
    Keep(algorithm, "gRPC alone, unary", options_.beside, way(false), options_.bare_server);
    Keep(algorithm, "gRPC alone, stream", options_.beside, way(true), options_.bare_server);
    if (options_.latency_for > 0) {
      Offer(algorithm, "gRPC alone, latency", capacity, way(false), options_.bare_server);
    }
  }

  const Options& options_;
  const RawToken& token_;
  Stub& local_;
  Stub* unaudited_;  // null: none
  Stub* tls_;        // null: none
  Stub* bare_;       // null: none
  const std::vector<ConnectedPeer>& peers_;
  std::vector<Measurement> measurements_;
};

int Run(const Options& options) {
  prctl(PR_SET_TIMERSLACK, 1UL);  // a call that is due is not to wait for the next one
  std::ifstream config_file(options.config);
  const auto config = nlohmann::json::parse(config_file);
  const auto& hsm = config.at("hsm");
  const auto token = hsm.is_string() ? std::make_unique<RawToken>(hsm.get<std::string>())
                                     : std::make_unique<RawToken>(hsm.at("uri").get<std::string>(),
                                                                  hsm.value("init_args", std::string()));
  const auto local = ConnectLocally(config.at("listen").get<std::string>());
  const auto unaudited = options.unaudited.empty() ? nullptr : ConnectLocally(options.unaudited);
  const auto tls = options.tls.empty() ? nullptr : ConnectByTls(options.tls, options.tls_folder);
  const auto bare = options.bare.empty() ? nullptr : ConnectLocally(options.bare);

  std::vector<ConnectedPeer> peers;
  for (const auto& text : options.peers) {
    auto peer = PeerOf(text);
    auto stub = ConnectLocally(peer.target);
    peers.push_back({.peer = std::move(peer), .stub = std::move(stub)});
  }

  Plan plan(options, *token, *local, unaudited.get(), tls.get(), bare.get(), peers);
  for (const auto& client_id : options.client_ids) {
    const auto& clients = config.at("clients");
    const auto client =
        std::ranges::find_if(clients, [&](const auto& one) { return one.at("client_id") == client_id; });
    if (client == clients.end()) {
      throw std::runtime_error("no client " + client_id + " is configured");
    }
    plan.Add(client_id, client->value("algorithm", "RS256"));
  }
  plan.WarmUp();
  for (int round = 0; round < options.rounds; ++round) {
    plan.Round(round % 2 == 0);
  }
  plan.PrintGaps();
  nlohmann::ordered_json result{{"rounds", options.rounds},
                                {"seconds", options.seconds},
                                {"cores", std::thread::hardware_concurrency()},
                                {"series", plan.AsJson()}};
  if (options.server != 0) {
    result["server_peak_kib"] = MemoryOf(options.server).peak;
  }
  std::ofstream out(options.json);
  out << result.dump(1) << '\n';
  if (!out.flush()) {
    throw std::runtime_error("cannot write " + options.json);
  }
  return 0;
}

}  // namespace
}  // namespace assertion::bench

int main(int argc, char** argv) {
  assertion::bench::Options options;
  CLI::App app{"Measures assertiond against the token itself. assertiond must be running on the same configuration."};
  app.add_option("--config", options.config, "the configuration file of assertiond")->required();
  app.add_option("--client-id", options.client_ids, "whose keys to use")->delimiter(',')->capture_default_str();
  app.add_option("--server", options.server, "the process id of assertiond: its processor time and memory are told");
  app.add_option("--rounds", options.rounds, "how often to take turns")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--seconds", options.seconds, "length of a turn")
      ->capture_default_str()
      ->check(CLI::Range(0.05, 600.0));
  app.add_option("--raw", options.raw, "sessions of the loop over the token itself")->delimiter(',');
  app.add_option("--unary", options.unary, "calls in flight")->delimiter(',');
  app.add_option("--stream", options.stream, "requests in flight on one stream, at most 256; 0: none")->delimiter(',');
  app.add_option("--beside", options.beside, "calls in flight over TLS, and without an audit log")
      ->capture_default_str();
  app.add_option("--share", options.share, "latencies are taken at this share of what the service can do");
  app.add_option("--per-second", options.per_second, "latencies are taken at this rate instead");
  app.add_option("--latency-for", options.latency_for, "length of a turn that takes latencies, in seconds; 0: none")
      ->capture_default_str();
  app.add_option("--gaps", options.gaps,
                 "HOST:PORT of the server's /metrics: prints how long the calls were in each of its stages");
  app.add_option("--unaudited", options.unaudited,
                 "unix:/PATH of another server on the same token, without an audit log");
  app.add_option("--bare", options.bare, "unix:/PATH of a bare_server, which tells what gRPC alone leaves possible");
  app.add_option("--bare-server", options.bare_server, "its process id")->needs("--bare");
  app.add_option("--peer", options.peers,
                 "NAME=unix:/PATH,PID[,unary]: another server on the same token, to compare with; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--tls-folder", options.tls_folder, "has authorities.pem, client.pem and client.key");
  app.add_option("--tls", options.tls, "HOST:PORT where the same server speaks TLS")->needs("--tls-folder");
  app.add_option("--json", options.json, "write the results to this file")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    std::erase(options.stream, 0);
    return assertion::bench::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "signing_bench: %s\n", error.what());
    return 1;
  }
}
