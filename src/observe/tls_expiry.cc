#include "observe/tls_expiry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

namespace assertion {
namespace {

constexpr std::chrono::days kTlsWarning{30};
constexpr std::chrono::days kTlsInterval{1};

// Those to warn of.
TlsExpiry::Ends DueAt(TlsExpiry::Ends ends, Time now) {
  for (auto* end : {&ends.certificate, &ends.client_ca}) {
    if (*end && **end - now >= kTlsWarning) {
      end->reset();
    }
  }
  if (ends.crl && *ends.crl >= now) {  // the usual life of a CRL is shorter than a warning's time
    ends.crl.reset();
  }
  return ends;
}

}  // namespace

void TlsExpiry::SetCertificate(Time end) {
  const MutexLock lock(mutex_);
  ends_.certificate = end;
}

void TlsExpiry::SetTrust(Time client_ca, std::optional<Time> crl) {
  const MutexLock lock(mutex_);
  ends_.client_ca = client_ca;
  ends_.crl = crl;
}

TlsExpiry::Ends TlsExpiry::Read() const {
  const MutexLock lock(mutex_);
  return ends_;
}

void TlsExpiry::Warn(Time now) {
  const MutexLock lock(mutex_);
  Write(DueAt(ends_, now), now);
}

void TlsExpiry::WarnOfNews(Time now) {
  const MutexLock lock(mutex_);
  if (const auto due = DueAt(ends_, now); due != warned_ || now >= next_warning_) {
    Write(due, now);
  }
}

void TlsExpiry::Write(const Ends& due, Time now) {
  const auto verb = [now](Time end) { return end < now ? "expired" : "expires"; };
  warned_ = due;
  next_warning_ = now + kTlsInterval;
  if (due.certificate) {
    spdlog::warn("TLS: the certificate of tls.certificate {} on {}", verb(*due.certificate), Rfc3339(*due.certificate));
  }
  if (due.client_ca) {
    spdlog::warn("TLS: an authority of tls.client_ca {} on {}", verb(*due.client_ca), Rfc3339(*due.client_ca));
  }
  if (due.crl) {
    spdlog::warn(
        "TLS: an authority's CRL in tls.crl_directory is out of date since {}: callers that it certified are refused",
        Rfc3339(*due.crl));
  }
  for (const auto& end : {due.certificate, due.client_ca}) {
    if (end && *end >= now) {  // that it is over is told at once
      next_warning_ = std::min(next_warning_, *end + std::chrono::seconds(1));
    }
  }
}

}  // namespace assertion
