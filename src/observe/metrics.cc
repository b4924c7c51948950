#include "observe/metrics.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace assertion {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Families = std::vector<MetricFamily>;
using Labels = std::vector<prometheus::ClientMetric::Label>;

MetricFamily Family(MetricType type, const char* name, const char* help) {
  return {.name = name, .help = help, .type = type, .metric = {}};
}
MetricFamily Gauge(const char* name, const char* help) { return Family(MetricType::Gauge, name, help); }
MetricFamily Counter(const char* name, const char* help) { return Family(MetricType::Counter, name, help); }
MetricFamily Histogram(const char* name, const char* help) { return Family(MetricType::Histogram, name, help); }

template <typename Number>
void Add(MetricFamily& family, Labels labels, Number value) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = static_cast<double>(value);
  family.metric.push_back(std::move(metric));
}

void Add(MetricFamily& family, Labels labels, const DurationHistogram& durations) {
  const auto read = durations.Read();
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  auto& histogram = metric.histogram;
  histogram.sample_sum = read.sum;
  for (std::size_t i = 0; i < DurationHistogram::kBounds.size(); ++i) {
    histogram.sample_count += read.counts[i];
    histogram.bucket.push_back({.cumulative_count = histogram.sample_count,
                                .upper_bound = static_cast<double>(DurationHistogram::kBounds[i]) / 1e6});
  }
  histogram.sample_count += read.counts.back();
  family.metric.push_back(std::move(metric));
}

template <typename Value>
MetricFamily With(MetricFamily family, const Value& value) {
  Add(family, {}, value);
  return family;
}

double Seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

Families OfProcess(double started, std::size_t configured_hsms, const Readiness& readiness) {
  auto build = Gauge("assertiond_build_info", "1; the labels say what runs.");
  Add(build, {{"version", ASSERTION_VERSION}, {"compiler", __VERSION__}}, 1);
  return {
      std::move(build),
      With(Gauge("assertiond_start_time_seconds", "Start of service, in seconds since 1970-01-01T00:00:00Z."), started),
      With(Gauge("assertiond_ready", "1 when a call made now would be answered, as /readyz reports."),
           readiness.reasons().empty() ? 1 : 0),
      With(Gauge("assertiond_crl_directory_readable",
                 "1 while every file of tls.crl_directory can be read as a CRL. When it is 0 for longer than "
                 "tls.crl_grace, "
                 "no peer with a certificate is served."),
           readiness.warnings().contains(kCrls) || readiness.reasons().contains(kCrls) ? 0 : 1),
      With(Gauge("assertiond_hsms_configured", "HSMs in the configuration, available or not."), configured_hsms)};
}

Families OfTls(const TlsExpiry::Ends& ends) {
  auto certificates = Gauge("assertiond_tls_certificate_not_after_seconds",
                            "Expiry of the certificate in tls.certificate, and of the first authority in tls.client_ca "
                            "to expire, in seconds since 1970-01-01T00:00:00Z.");
  auto crl = Gauge("assertiond_tls_crl_next_update_seconds",
                   "When the first authority in tls.crl_directory has no current CRL any more, in seconds since "
                   "1970-01-01T00:00:00Z. Callers that it certified are refused from then on.");
  const auto add = [](MetricFamily& family, Labels labels, std::optional<Time> end) {
    if (end) {
      Add(family, std::move(labels), end->time_since_epoch().count());
    }
  };
  add(certificates, {{"file", "certificate"}}, ends.certificate);
  add(certificates, {{"file", "client_ca"}}, ends.client_ca);
  add(crl, {}, ends.crl);
  return {std::move(certificates), std::move(crl)};
}

Families OfReload(const ReloadOutcome::State& reload) {
  const std::chrono::duration<double> succeeded = reload.succeeded.time_since_epoch();
  return {With(Gauge("assertiond_config_last_reload_successful",
                     "0 after a reload that was refused, so that the configuration before stays in force; else 1."),
               reload.refusal.empty() ? 1 : 0),
          With(Gauge("assertiond_config_last_reload_success_timestamp_seconds",
                     "When the configuration in force was read, in seconds since 1970-01-01T00:00:00Z."),
               succeeded.count())};
}

Families OfAssertions(const AssertionTally& tally) {
  auto assertions = Counter("assertiond_assertions_total",
                            "Assertions requested, by configured client, signing algorithm and gRPC status code.");
  for (const auto& [labels, count] : tally.counts()) {
    Add(assertions, {{"client_id", labels.client_id}, {"algorithm", labels.algorithm}, {"outcome", labels.outcome}},
        count);
  }
  auto latency = Histogram("assertiond_assertion_duration_seconds",
                           "From the arrival of a request to the release of its answer, including the audit log.");
  Add(latency, {{"result", "released"}}, tally.latency(true));
  Add(latency, {{"result", "refused"}}, tally.latency(false));
  return {std::move(assertions), std::move(latency),
          With(Counter("assertiond_refusals_suppressed_total",
                       "Refused calls beyond the budget of their peer, which the audit log counts instead of listing."),
               tally.suppressed())};
}

Families OfTokens(const tokens::AccessTokens& tokens) {
  auto purchases =
      Counter("assertiond_access_token_purchases_total",
              "Requests to the client's token endpoint, by how they ended: granted, refused (the client or "
              "what it asked for), limited (HTTP 429), failed, or queue_full (not asked: too many purchases wait).");
  auto handed_out = Counter("assertiond_access_tokens_handed_out_total", "Access tokens handed out to callers.");
  auto refused = Counter("assertiond_access_tokens_refused_total",
                         "Calls refused because too many different access tokens are in use, or too many calls wait.");
  auto held = Gauge("assertiond_access_tokens_held", "Access tokens in memory; expired ones leave within 250 ms.");
  auto oldest = Gauge("assertiond_access_token_age_seconds", "Age of the oldest of them; 0: there are none.");
  auto pause = Gauge("assertiond_access_token_pause_seconds",
                     "Time until access tokens are bought for the client again after a failure; 0: there is no pause.");
  for (const auto& [client_id, figures] : tokens.Read()) {
    for (std::size_t i = 0; i < tokens::kOutcomes.size(); ++i) {
      Add(purchases, {{"client_id", client_id}, {"result", tokens::kOutcomes.at(i)}}, figures.purchases.at(i));
    }
    const Labels labels = {{"client_id", client_id}};
    Add(handed_out, labels, figures.handed_out);
    Add(refused, labels, figures.without_place);
    Add(held, labels, figures.held);
    Add(oldest, labels, Seconds(figures.oldest));
    Add(pause, labels, Seconds(figures.pause_left));
  }
  return {std::move(purchases), std::move(handed_out), std::move(refused),
          std::move(held),      std::move(oldest),     std::move(pause)};
}

Families OfHsms(const HsmGroup& hsms) {
  auto usable =
      Gauge("assertiond_token_usable", "1 while signatures prove that the token works; 0 from its loss to its return.");
  auto breaker = Gauge("assertiond_breaker_open", "1 while calls are refused at once because the token does not sign.");
  auto openings = Counter("assertiond_breaker_openings_total", "How often the token was lost.");
  auto depth = Gauge("assertiond_queue_jobs", "Jobs that wait for a session.");
  auto capacity = Gauge("assertiond_queue_capacity_jobs", "Jobs that may wait.");
  auto queue_time = Histogram("assertiond_queue_duration_seconds", "Wait of callers' jobs for a session.");
  auto hsm_time = Histogram("assertiond_hsm_duration_seconds", "Duration of signatures in the HSM.");
  auto signatures = Counter("assertiond_hsm_signatures_total", "Verified signatures, including proofs.");
  auto failures = Counter("assertiond_hsm_failures_total", "Attempts that returned no signature, or a wrong one.");
  auto limit = Gauge("assertiond_sessions_limit", "Sessions that may be open for signing.");
  auto open = Gauge("assertiond_sessions_open", "Sessions that are open for signing.");
  auto busy = Gauge("assertiond_sessions_busy", "Sessions that are signing.");
  auto hung = Gauge("assertiond_sessions_hung", "Replaced sessions whose call does not return.");
  auto discarded = Counter("assertiond_sessions_discarded_total", "Sessions closed after an error.");
  auto unproven =
      Gauge("assertiond_custody_unproven",
            "1 when the token let a throw-away key of this type out in a trial, 0 when it held; absent: not "
            "tried since the start.");
  for (const auto& hsm : hsms.All()) {
    const Labels labels = {{"hsm", hsm->name}};
    for (const auto& [type, trial] : hsm->token.Describe().trials) {
      Add(unproven, {{"hsm", hsm->name}, {"key_type", std::string(type)}}, trial.held() ? 0 : 1);
    }
    const auto now = hsm->queue.Occupancy();
    const auto& ever = hsm->queue.statistics();
    Add(usable, labels, now.paused ? 0 : 1);
    Add(breaker, labels, now.paused ? 1 : 0);
    Add(openings, labels, ever.pauses.load());
    Add(depth, labels, now.waiting);
    Add(capacity, labels, now.capacity);
    Add(queue_time, labels, ever.queue_time);
    Add(hsm_time, labels, ever.hsm_time);
    Add(signatures, labels, hsm->queue.signed_count());
    Add(failures, labels, ever.failed.load());
    Add(limit, labels, now.sessions);
    const auto closed =
        ever.sessions_closed.load();  // read before sessions_opened, so that the difference is never negative
    Add(open, labels, ever.sessions_opened.load() - closed);
    Add(busy, labels, now.busy);
    Add(hung, labels, now.hung);
    Add(discarded, labels, ever.sessions_discarded.load());
  }
  return {std::move(usable),     std::move(breaker),  std::move(openings),   std::move(depth),     std::move(capacity),
          std::move(queue_time), std::move(hsm_time), std::move(signatures), std::move(failures),  std::move(limit),
          std::move(open),       std::move(busy),     std::move(hung),       std::move(discarded), std::move(unproven)};
}

// The key at whose end nothing signs for the client, because none on the token takes over at that instant. Null: no key
// signs now.
const ScheduledKey* LastToSign(const ClientKeys& client, Time now) {
  const ScheduledKey* last = nullptr;
  for (const auto* key = client.SigningAt(now); key != nullptr && key->key && key != last;) {
    last = key;
    key = client.SigningAt(key->record.sign_until);
  }
  return last;
}

Families OfKeys(const HsmGroup& hsms) {
  auto versions = Gauge("assertiond_ledger_version", "Version of a client's keys.");
  auto rolled_back = Gauge("assertiond_ledger_rolled_back",
                           "Present while a client's ledger on the token is older than one seen before: the version "
                           "which=\"found\" (0: no ledger) and the version which=\"seen\".");
  auto signing = Gauge(
      "assertiond_client_signing_keys",
      "1 when a key of the HSM can sign for the client now, if necessary in place of an HSM that is away; else 0, also "
      "while the HSM itself does not sign.");
  auto signs_until =
      Gauge("assertiond_client_signs_until_seconds",
            "When signing for the client ends, in seconds since 1970-01-01T00:00:00Z: the key kid stops and no other "
            "takes over. 253402300799: no end is set.");
  auto stray_ledgers =
      Gauge("assertiond_ledger_strays",
            "Objects or entries stored as ledgers that do not verify and are ignored: see assertionctl doctor.");
  auto own = Gauge("assertiond_own_keys_missing",
                   "Keys of assertiond itself (TLS, audit log, ledger) that it uses and that are not on the token.");
  auto flawed = Gauge("assertiond_client_flawed_keys",
                      "Keys in a client's ledger that are missing on the token or have wrong attributes there.");
  auto strays =
      Gauge("assertiond_token_stray_objects",
            "Objects on the token under names of assertiond that no ledger explains: see assertionctl doctor.");
  auto expiry = Gauge("assertiond_certificate_not_after_seconds",
                      "Expiry of the certificate of a published key, in seconds since 1970-01-01T00:00:00Z.");
  for (const auto& hsm : hsms.All()) {
    const auto now = hsm->keys.Now();
    const bool signs = !hsm->queue.IsPaused();
    Add(own, {{"hsm", hsm->name}}, hsm->keys.MissingOwnKeys()->size());
    Add(stray_ledgers, {{"hsm", hsm->name}}, static_cast<double>(hsm->keys.StrayLedgers()->size()));
    Add(strays, {{"hsm", hsm->name}}, static_cast<double>(hsm->keys.Strays()->size()));
    const auto older_ledgers = hsm->keys.RolledBack();
    for (const auto& [client_id, older] : *older_ledgers) {
      Add(rolled_back, {{"client_id", client_id}, {"hsm", hsm->name}, {"which", "found"}}, older.found);
      Add(rolled_back, {{"client_id", client_id}, {"hsm", hsm->name}, {"which", "seen"}}, older.seen);
    }
    const auto snapshot = hsm->keys.Snapshot();
    const auto waiting = hsm->keys.WaitingClients();
    for (const auto& [client_id, client] : *snapshot) {
      const auto* signing_key = client.SigningAt(now);
      Add(versions, {{"client_id", client_id}, {"hsm", hsm->name}}, client.version);
      const bool can_sign = signs && signing_key != nullptr && signing_key->key && !waiting.contains(client_id);
      Add(signing, {{"client_id", client_id}, {"hsm", hsm->name}}, can_sign ? 1 : 0);
      if (const auto* last = LastToSign(client, now); last != nullptr) {
        Add(signs_until, {{"client_id", client_id}, {"hsm", hsm->name}, {"kid", last->record.kid}},
            last->record.sign_until.time_since_epoch().count());
      }
      Add(flawed, {{"client_id", client_id}, {"hsm", hsm->name}},
          std::ranges::count_if(client.keys, [](const auto& entry) { return entry.flaw.has_value(); }));
      for (const auto& entry : client.keys) {
        if (entry.record.PublishedAt(now) && entry.key && !entry.key->chain.empty()) {
          Add(expiry, {{"client_id", client_id}, {"hsm", hsm->name}, {"kid", entry.record.kid}},
              entry.key->chain.front().not_after.time_since_epoch().count());
        }
      }
    }
  }
  return {std::move(versions), std::move(rolled_back),   std::move(signing), std::move(signs_until), std::move(flawed),
          std::move(strays),   std::move(stray_ledgers), std::move(expiry),  std::move(own)};
}

Families OfAudit(const audit::Log& log) {
  const auto backlog = log.backlog();
  const auto position = log.position();
  return {
      With(Gauge("assertiond_audit_writable",
                 "1 while the audit log can be written. While it is 0, nothing is released."),
           log.state() ? 1 : 0),
      With(Gauge("assertiond_audit_waiting_lines", "Lines not yet on the disk."), backlog.waiting),
      With(Gauge("assertiond_audit_lag_seconds", "Wait of the oldest line that is not yet on the disk."),
           Seconds(backlog.lag)),
      With(Gauge("assertiond_audit_unproven_lines", "Lines not yet covered by a checkpoint."), backlog.unproven),
      With(Gauge("assertiond_audit_sequence", "Sequence number of the last line on the disk."), position.head.sequence),
      With(Gauge("assertiond_audit_checkpoint_sequence",
                 "Sequence number of the last line covered by a checkpoint; 0: none yet."),
           position.checkpoint),
      With(Histogram("assertiond_audit_duration_seconds", "Time until a line was on the disk."), log.durable_time())};
}

}  // namespace

Families Metrics::Collect() const {
  Families all;
  const auto take = [&all](Families families) {
    all.insert(all.end(), std::make_move_iterator(families.begin()), std::make_move_iterator(families.end()));
  };
  take(OfProcess(started_, configured_hsms_, readiness_));
  take(OfReload(reload_.Read()));
  take(OfTls(tls_expiry_.Read()));
  take(OfAssertions(tally_));
  take(OfTokens(tokens_));
  take(OfHsms(hsms_));
  take(OfKeys(hsms_));
  const MutexLock lock(mutex_);
  if (log_ != nullptr) {
    take(OfAudit(*log_));
  }
  return all;
}

}  // namespace assertion
