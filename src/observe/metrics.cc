#include "observe/key_metrics.h"

#include <string>
#include <utility>

namespace assertion {
namespace {

prometheus::MetricFamily Family(const char* name, const char* help) {
  return {.name = name, .help = help, .type = prometheus::MetricType::Gauge, .metric = {}};
}

void Add(prometheus::MetricFamily& family, std::vector<prometheus::ClientMetric::Label> labels, double value) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

}  // namespace

std::vector<prometheus::MetricFamily> KeyMetrics(const HsmGroup& hsms) {
  auto versions = Family("assertiond_ledger_version", "Version of a client's keys.");
  auto signing = Family("assertiond_client_signing_keys",
                        "Keys of an HSM that sign for a client now, or may when the HSMs before it are away: 1 or 0.");
  auto expiry = Family("assertiond_certificate_not_after_seconds",
                       "When the certificate of a published key expires, in seconds since 1970-01-01T00:00:00Z.");
  for (const auto& hsm : hsms.All()) {
    const auto now = hsm->keys.Now();
    for (const auto& [client_id, client] : *hsm->keys.Snapshot()) {
      const auto* signing_key = client.SigningAt(now);
      Add(versions, {{"client_id", client_id}, {"hsm", hsm->name}}, static_cast<double>(client.version));
      Add(signing, {{"client_id", client_id}, {"hsm", hsm->name}}, signing_key != nullptr && signing_key->key ? 1 : 0);
      for (const auto& entry : client.keys) {
        if (entry.record.PublishedAt(now) && entry.key && !entry.key->chain.empty()) {
          Add(expiry, {{"client_id", client_id}, {"hsm", hsm->name}, {"kid", entry.record.kid}},
              static_cast<double>(entry.key->chain.front().not_after.time_since_epoch().count()));
        }
      }
    }
  }
  return {std::move(versions), std::move(signing), std::move(expiry)};
}

}  // namespace assertion
