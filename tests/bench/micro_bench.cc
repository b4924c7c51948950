// What the parts of one assertion cost that are neither the token nor gRPC.

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/clock.h"
#include "audit/audit_signer.h"
#include "audit/line.h"
#include "audit/log.h"
#include "jws/base64url.h"
#include "jws/compact.h"
#include "policy/policy.h"
#include "x509/openssl.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kTokenEndpoint = "https://localhost:9443/oauth2/token";

Policy OnePolicy() {
  Client client;
  client.client_id = "orders";
  client.audiences = {kTokenEndpoint};
  client.callers = {"uid:1000"};
  client.extra_claims = {"tenant"};
  return {{client}, {}, SystemTime, x509::RandomOctets};
}

// Who may ask for what, and the claims as JSON.
void BM_Policy(benchmark::State& state) {
  const auto policy = OnePolicy();
  const auto caller = Caller::Authenticated({"uid:1000"});
  const AssertionRequest request{.client_id = "orders", .audience = {}, .lifetime = {}};
  for (auto _ : state) {
    auto approved = policy.Approve(caller, request);
    benchmark::DoNotOptimize(approved);
  }
}
BENCHMARK(BM_Policy);

void BM_PolicyWithExtraClaims(benchmark::State& state) {
  const auto policy = OnePolicy();
  const auto caller = Caller::Authenticated({"uid:1000"});
  const nlohmann::json extra = {{"tenant", "example"}};
  const AssertionRequest request{.client_id = "orders", .audience = {}, .lifetime = {}, .extra_claims = &extra};
  for (auto _ : state) {
    auto approved = policy.Approve(caller, request);
    benchmark::DoNotOptimize(approved);
  }
}
BENCHMARK(BM_PolicyWithExtraClaims);

// An identifier, an RSA-2048 signature, claims.
void BM_Base64UrlEncode(benchmark::State& state) {
  const Bytes octets(static_cast<std::size_t>(state.range(0)), 0xA7);
  for (auto _ : state) {
    benchmark::DoNotOptimize(jws::Base64UrlEncode(octets));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(BM_Base64UrlEncode)->Arg(32)->Arg(256)->Arg(1024);

void BM_Base64UrlDecode(benchmark::State& state) {
  const auto text = jws::Base64UrlEncode(Bytes(static_cast<std::size_t>(state.range(0)), 0xA7));
  for (auto _ : state) {
    benchmark::DoNotOptimize(jws::Base64UrlDecode(text));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(BM_Base64UrlDecode)->Arg(256);

// What the HSM signs, and the whole.
void BM_Jws(benchmark::State& state) {
  const auto header = jws::EncodedHeader(*FindAlgorithm("RS256"), "h3Mkk8qC3hMeSBjHfAmBQBjXqGdi6Azqri1diWzpfYE");
  const std::string claims(200, 'c');
  const Bytes signature(256, 0xA7);
  for (auto _ : state) {
    benchmark::DoNotOptimize(jws::Compact(jws::SigningInput(header, claims), signature));
  }
}
BENCHMARK(BM_Jws);

audit::Event OneEvent() {
  audit::Event event;
  event.name = "CreateAssertion";
  event.caller = "uid:1000";
  event.client_id = "orders";
  event.audience = kTokenEndpoint;
  event.jti = "81df3c1e-6f9b-4a52-8f0e-6a4b7c0d9e11";
  event.kid = "h3Mkk8qC3hMeSBjHfAmBQBjXqGdi6Azqri1diWzpfYE";
  event.lifetime = seconds(300);
  event.outcome = "OK";
  event.latency = std::chrono::microseconds(912);
  return event;
}

// A line of the audit log, and its place in the chain.
void BM_AuditLine(benchmark::State& state) {
  const auto event = OneEvent();
  auto head = audit::Genesis();
  for (auto _ : state) {
    benchmark::DoNotOptimize(audit::Chain(head, audit::Body(event, std::chrono::system_clock::now())));
  }
}
BENCHMARK(BM_AuditLine);

// The writing thread's part of it; the rest is made by the thread that signed.
void BM_AuditChain(benchmark::State& state) {
  const auto body = audit::Body(OneEvent(), std::chrono::system_clock::now());
  auto head = audit::Genesis();
  for (auto _ : state) {
    benchmark::DoNotOptimize(audit::Chain(head, body));
  }
}
BENCHMARK(BM_AuditChain);

// Lines of an audit log that are on the disk, so many callers at a time: the disk's time, too.
void BM_AuditLog(benchmark::State& state) {
  auto folder = (std::filesystem::temp_directory_path() / "micro_bench.XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    state.SkipWithError("no temporary folder");
    return;
  }
  const audit::SoftwareSigner signer;
  auto log = audit::Log::Open({.path = folder + "/audit.log"}, {signer.signer()}, signer.keys(), {});
  const auto event = OneEvent();
  const auto callers = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    std::atomic<std::size_t> open = callers;
    for (std::size_t i = 0; i < callers; ++i) {
      (*log)->Record(event, [&open](const Status& /*recorded*/) {
        if (--open == 0) {
          open.notify_one();
        }
      });
    }
    for (auto left = open.load(); left != 0; left = open.load()) {
      open.wait(left);
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
  log->reset();
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_AuditLog)->Arg(1)->Arg(16)->Arg(64)->UseRealTime();

}  // namespace
}  // namespace assertion

BENCHMARK_MAIN();
