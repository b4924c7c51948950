#include "cli/console/condition_part.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cli/console/page.h"
#include "cli/html.h"

namespace assertion::cli {
namespace {

constexpr int kReady = 200;
constexpr int kNotReady = 503;
constexpr std::chrono::seconds kProbeLimit{5};

std::string Number(std::optional<double> value) { return value ? std::to_string(WholeNumber(*value)) : "-"; }

}  // namespace

std::string ConditionPart::RateOf(const std::string& counter, double value, std::chrono::steady_clock::time_point now) {
  const auto before = seen_.find(counter);
  std::string text = "counted from the next view on";
  if (before != seen_.end() && value >= before->second.value) {  // less: the server was started again
    constexpr double kTenths = 10;
    constexpr double kShortest = 0.1;
    const auto seconds = std::chrono::duration<double>(now - before->second.when).count();
    const auto tenths = WholeNumber((value - before->second.value) / std::max(seconds, kShortest) * kTenths);
    text = std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " /s";
  }
  seen_.insert_or_assign(counter, Seen{.value = value, .when = now});
  return text;
}

std::string ConditionPart::HsmTable(const std::vector<MetricSample>& samples,
                                    std::chrono::steady_clock::time_point now) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [hsm, figures] : HsmsOf(samples)) {
    const auto value = [&](const char* name) { return figures.Find(name); };
    const bool usable = value("assertiond_token_usable").value_or(0) != 0;
    const auto signatures = value("assertiond_hsm_signatures_total").value_or(0);
    rows.push_back(
        {Escaped(hsm), usable ? "<span class=\"good\">signs</span>" : "<span class=\"bad\">does not sign</span>",
         Number(value("assertiond_queue_jobs")) + " of " + Number(value("assertiond_queue_capacity_jobs")),
         Number(value("assertiond_sessions_busy")) + " busy of " + Number(value("assertiond_sessions_open")) + " open",
         Number(signatures), RateOf("hsm " + hsm, signatures, now), Number(value("assertiond_hsm_failures_total"))});
  }
  return rows.empty()
             ? Paragraph("No HSM is attached.", "bad")
             : Table("HSMs", {"HSM", "State", "Waiting jobs", "Sessions", "Signatures", "Rate", "Failures"}, rows);
}

std::string ConditionPart::Html(std::chrono::steady_clock::time_point now) {
  if (!monitor_) {
    return Paragraph(
        "The server answers. For readiness, HSMs, queues and rates start the console with --monitor and the "
        "server's admin_listen or http_listen, for example --monitor http://127.0.0.1:8090.",
        "quiet");
  }
  const auto get = [&](const char* path) {
    return oauth::Exchange(monitor_->origin, ca_file_, {.path = path, .limit = kProbeLimit});
  };
  const auto readiness = get("/readyz");
  if (!readiness) {
    return Paragraph("Unknown: " + readiness.error().message, "bad");
  }
  if (readiness->status != kReady && readiness->status != kNotReady) {
    return Paragraph("Unknown: " + monitor_->origin + "/readyz answers with status " +
                         std::to_string(readiness->status) +
                         ". --monitor must name the server's admin_listen, or http_listen if there is none.",
                     "bad");
  }
  const bool ready = readiness->status == kReady;
  auto html = Paragraph(ready ? "Ready" : "Not ready", ready ? "good state" : "bad state");
  if (const auto& text = readiness->body; text != "ready" && text != "ready\n") {
    html += "<pre>" + Escaped(text) + "</pre>\n";
  }
  const auto metrics = get("/metrics");
  if (!metrics) {
    return html + Paragraph("No metrics: " + metrics.error().message, "bad");
  }
  const auto samples = ParseMetrics(metrics->body);
  const auto assertions = SumOf(samples, "assertiond_assertions_total").value_or(0);
  html += Paragraph("Assertions since the server's start: " + Number(assertions) +
                    ", rate: " + RateOf("assertions", assertions, now) + ".") +
          HsmTable(samples, now);
  std::erase_if(seen_, [now](const auto& counter) { return counter.second.when != now; });  // HSMs that are gone
  return html;
}

}  // namespace assertion::cli
