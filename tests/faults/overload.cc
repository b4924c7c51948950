// What assertiond does when ten times as much is asked of it as its token can do, and when one caller asks twenty
// times as often as another. overload.sh starts what is measured here, on a token that takes its time as a network HSM
// does: so the two cores of a small machine are not the limit, and this program does not disturb what it measures.

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/connection.h"
#include "bench/load.h"
#include "bench/quantile.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "jws/base64url.h"

namespace assertion::bench {
namespace {

using Clock = Load::Clock;
using Seconds = Load::Seconds;

// The promises, and the rates at which they are tried.
constexpr double kTimesCapacity = 10;
constexpr double kLeastGoodput = 0.95;    // of the capacity measured just before
constexpr double kSlowestRefusalMs = 10;  // at p99
constexpr double kTimesSlow = 20;         // what the greedy caller asks for
constexpr double kSlowShare = 0.4;        // of the capacity: under the half that is each one's fair share
constexpr double kLeastOfSlow = 0.90;     // of what the slow one gets alone

// Whether it is a JWT with a header that names the key, and a signature of its size.
bool IsAssertion(std::string_view text, const std::string& kid) {
  const auto first = text.find('.');
  const auto second = first == text.npos ? text.npos : text.find('.', first + 1);
  if (second == text.npos) {
    return false;
  }
  const auto header = jws::Base64UrlDecode(text.substr(0, first));
  const auto claims = jws::Base64UrlDecode(text.substr(first + 1, second - first - 1));
  const auto signature = jws::Base64UrlDecode(text.substr(second + 1));
  constexpr std::size_t kSignatureOctets = 256;  // RSA-2048
  return header && claims && signature && signature->size() == kSignatureOctets &&
         nlohmann::json::parse(*header).at("kid") == kid && nlohmann::json::parse(*claims).contains("exp");
}

// google.rpc.RetryInfo with a delay that makes sense.
bool SaysWhenToRetry(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::RetryInfo retry;
  if (!details.ParseFromString(status.error_details()) || details.details_size() != 1 ||
      !details.details(0).UnpackTo(&retry)) {
    return false;
  }
  const auto& delay = retry.retry_delay();
  const double seconds = static_cast<double>(delay.seconds()) + static_cast<double>(delay.nanos()) * 1e-9;
  return seconds > 0 && seconds <= 5;
}

// What became of one caller's calls.
class Tally {
 public:
  explicit Tally(std::string kid) : kid_(std::move(kid)) {}

  void Add(const Load::Answer& answer) {
    const auto wrong = Wrong(answer);
    const std::scoped_lock lock(mutex_);
    if (!wrong.empty()) {
      ++wrong_[wrong];
    }
    switch (answer.status.error_code()) {
      case grpc::StatusCode::OK:
        came_.push_back(answer.came);
        admitted_ms_.push_back(answer.milliseconds());
        break;
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
        refused_ms_.push_back(answer.milliseconds());
        break;
      default:
        ++late_;
        admitted_ms_.push_back(answer.milliseconds());
    }
  }

  // Of assertions, between two instants.
  double PerSecond(Clock::time_point from, Clock::time_point to) const {
    const auto count = std::ranges::count_if(came_, [&](auto came) { return from <= came && came < to; });
    return static_cast<double>(count) / Seconds(to - from).count();
  }

  std::size_t calls() const { return admitted_ms_.size() + refused_ms_.size(); }
  std::size_t answered() const { return came_.size(); }
  std::size_t late() const { return late_; }
  double AdmittedMs(double share) const { return Quantile(admitted_ms_, share); }
  double RefusedMs(double share) const { return Quantile(refused_ms_, share); }
  std::size_t refused() const { return refused_ms_.size(); }
  const std::map<std::string, std::size_t>& wrong() const { return wrong_; }

 private:
  std::string Wrong(const Load::Answer& answer) const {
    switch (answer.status.error_code()) {
      case grpc::StatusCode::OK:
        return answer.response.kid() == kid_ && IsAssertion(answer.response.assertion(), kid_) ? "" : "no assertion";
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
        return SaysWhenToRetry(answer.status) ? "" : "refused without a RetryInfo";
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return "";
      default:
        return "status " + std::to_string(answer.status.error_code()) + ": " + answer.status.error_message();
    }
  }

  const std::string kid_;
  std::mutex mutex_;
  std::vector<Clock::time_point> came_;
  std::vector<double> admitted_ms_;  // those that were too late, too
  std::vector<double> refused_ms_;
  std::size_t late_ = 0;
  std::map<std::string, std::size_t> wrong_;  // what no answer may be
};

struct Options {
  std::string config;
  std::string client_id = "orders";
  std::string tls;
  std::string tls_folder;
  std::string token = "some token";
  std::size_t sessions = 8;
  double seconds = 4;
  double deadline = 1;
  bool judges_figures = true;
};

// A caller: how it is connected, and how it calls.
class Caller {
 public:
  Caller(std::unique_ptr<Stub> stub, const Options& options) : stub_(std::move(stub)), options_(options) {}

  std::string Kid() {
    grpc::ClientContext context;
    v1::GetJwksRequest request;
    v1::GetJwksResponse response;
    request.set_client_id(options_.client_id);
    const auto status = stub_->GetJwks(&context, request, &response);
    if (!status.ok()) {
      throw std::runtime_error("GetJwks: " + status.error_message());
    }
    return nlohmann::json::parse(response.jwks()).at("keys").at(0).at("kid");
  }

  // Of assertions a second, by a closed loop that keeps all sessions busy. What comes first is not counted: the
  // sessions are not open yet, and the service does not know yet what a signature takes.
  double Capacity(Tally& tally, double seconds) {
    const auto from = Clock::now() + std::chrono::milliseconds(500);
    LoadOf(tally).Keep(4 * options_.sessions, Seconds(seconds + 0.5));
    return tally.PerSecond(from, from + Duration(seconds));
  }

  // Of assertions a second, while so much is asked for.
  double Offer(Tally& tally, double per_second, double seconds) {
    const auto from = Clock::now();
    LoadOf(tally).Offer(per_second, Seconds(seconds));
    return tally.PerSecond(from, from + Duration(seconds));
  }

 private:
  static Clock::duration Duration(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
  }

  UnaryLoad LoadOf(Tally& tally) {
    return {*stub_, options_.client_id, Seconds(options_.deadline), [&](const auto& answer) { tally.Add(answer); }};
  }

  const std::unique_ptr<Stub> stub_;
  const Options& options_;
};

// Prints what was seen, in Markdown, and counts the promises that were kept.
class Report {
 public:
  explicit Report(bool judges_figures) : judges_figures_(judges_figures) {}

  void Head(const Options& options) const {
    std::printf("%s, %zu sessions; each call has %.1f s.\n\n", options.token.c_str(), options.sessions,
                options.deadline);
    std::printf("| | asked a second | signed a second | p50 ms | p99 ms | too late | refused | p50 ms | p99 ms |\n");
    std::printf("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  }

  void Row(const char* what, double asked, double per_second, const Tally& tally) {
    std::printf("| %s | %.0f | %.1f | %.0f | %.0f | %zu | %zu | %.2f | %.2f |\n", what, asked, per_second,
                tally.AdmittedMs(0.5), tally.AdmittedMs(0.99), tally.late(), tally.refused(), tally.RefusedMs(0.5),
                tally.RefusedMs(0.99));
    for (const auto& [answer, times] : tally.wrong()) {
      wrong_ += "; " + std::to_string(times) + " " + answer;
    }
  }

  // Of time: on a machine that others use, a short run tells it and judges it only if it is told to.
  void Figure(bool kept, const std::string& what) {
    if (kept || judges_figures_) {
      Promise(kept, what);
    } else {
      promises_ += "- missed, and only told: " + what + "\n";
    }
  }

  void Promise(bool kept, const std::string& what) {
    promises_ += std::string(kept ? "- kept: " : "- **broken**: ") + what + "\n";
    ++(kept ? passed_ : failed_);
  }

  bool Finish() {
    Promise(wrong_.empty(),
            "every call ended as an assertion, as a refusal with google.rpc.RetryInfo, or at its deadline" + wrong_);
    std::printf("\n%s\n%d passed, %d failed\n", promises_.c_str(), passed_, failed_);
    return failed_ == 0;
  }

 private:
  const bool judges_figures_;
  std::string wrong_;  // of all rows
  std::string promises_;
  int passed_ = 0;
  int failed_ = 0;
};

std::string Text(const char* format, double first, double second) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), format, first, second);
  return text.data();
}

// Ten times what the token can do.
double Overload(Caller& caller, const std::string& kid, const Options& options, Report& report) {
  Tally closed(kid);
  const auto capacity = caller.Capacity(closed, std::max(2.0, options.seconds / 6));
  report.Row("closed loop", capacity, capacity, closed);
  Tally open(kid);
  const auto goodput = caller.Offer(open, kTimesCapacity * capacity, options.seconds);
  const auto asked = static_cast<double>(open.calls()) / options.seconds;
  report.Row("10 times as much", asked, goodput, open);
  report.Figure(goodput >= kLeastGoodput * capacity && asked > 0.9 * kTimesCapacity * capacity,
                Text("at %.1f times the capacity measured just before, %.1f %% of it is signed; at least 95 %%",
                     asked / capacity, 100 * goodput / capacity));
  report.Promise(open.refused() > 0, "a call that cannot be served is refused");
  report.Figure(
      open.refused() > 0 && open.RefusedMs(0.99) <= kSlowestRefusalMs,
      Text("a refusal comes within %.2f ms at p99; at most %.0f ms", open.RefusedMs(0.99), kSlowestRefusalMs));
  report.Figure(open.AdmittedMs(0.99) < 1e3 * options.deadline,
                Text("an admitted call is answered within %.0f ms at p99; its deadline is %.0f ms",
                     open.AdmittedMs(0.99), 1e3 * options.deadline));
  return capacity;
}

// Two callers. One asks twenty times as often.
void TwoCallers(Caller& greedy, Caller& slow, const std::string& kid, double capacity, const Options& options,
                Report& report) {
  const auto rate = kSlowShare * capacity;
  const auto seconds = std::max(2.0, options.seconds / 3);
  Tally alone(kid);
  report.Row("slow caller alone", rate, slow.Offer(alone, rate, seconds), alone);
  Tally beside(kid);
  Tally much(kid);
  double greedy_rate = 0;
  {
    const std::jthread other([&] { greedy_rate = greedy.Offer(much, kTimesSlow * rate, seconds); });
    report.Row("slow caller beside greedy", rate, slow.Offer(beside, rate, seconds), beside);
  }
  report.Row("greedy caller", kTimesSlow * rate, greedy_rate, much);
  const auto share = static_cast<double>(beside.answered()) / static_cast<double>(alone.answered());
  report.Figure(share >= kLeastOfSlow && much.refused() > 0,
                Text("beside a caller that asks %.0f times as often the slow caller gets %.1f %% of what it gets "
                     "alone; at least 90 %%",
                     kTimesSlow, 100 * share));
  report.Figure(much.AdmittedMs(0.99) < 1e3 * options.deadline,
                Text("an admitted call of the greedy caller is answered within %.0f ms at p99; its deadline is "
                     "%.0f ms",
                     much.AdmittedMs(0.99), 1e3 * options.deadline));
}

bool Run(const Options& options) {
  std::ifstream file(options.config);
  const auto listen = nlohmann::json::parse(file).at("listen").get<std::string>();
  Caller greedy(ConnectLocally(listen), options);
  Caller slow(ConnectByTls(options.tls, options.tls_folder), options);
  const auto kid = greedy.Kid();
  Report report(options.judges_figures);
  report.Head(options);
  const auto capacity = Overload(greedy, kid, options, report);
  TwoCallers(greedy, slow, kid, capacity, options, report);
  return report.Finish();
}

}  // namespace
}  // namespace assertion::bench

int main(int argc, char** argv) {
  assertion::bench::Options options;
  CLI::App app{
      "Overloads assertiond, which must be running on the configuration, and sees whether it keeps its promises."};
  app.add_option("--config", options.config, "the configuration file of assertiond")->required();
  app.add_option("--client-id", options.client_id, "whose key to use; it has one")->capture_default_str();
  app.add_option("--tls", options.tls, "HOST:PORT where the same server speaks TLS, for the second caller")->required();
  app.add_option("--tls-folder", options.tls_folder, "has authorities.pem, client.pem and client.key")->required();
  app.add_option("--token", options.token, "what is printed of the token")->capture_default_str();
  app.add_option("--sessions", options.sessions, "that sign")->capture_default_str()->check(CLI::Range(1, 256));
  app.add_option("--seconds", options.seconds, "of overload")->capture_default_str()->check(CLI::Range(1.0, 600.0));
  app.add_flag("!--tell-figures", options.judges_figures, "a figure that is missed is told, and no failure");
  app.add_option("--deadline", options.deadline, "of each call, in seconds")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return assertion::bench::Run(options) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "overload: %s\n", error.what());
    return 1;
  }
}
