#include "observe/tls_expiry.h"

#include <spdlog/spdlog.h>

#include <chrono>

namespace assertion {
namespace {

constexpr std::chrono::days kTlsWarning{30};
constexpr std::chrono::days kTlsInterval{1};

void AddCertificate(const char* what, std::optional<Time> end, Time now, std::vector<std::string>& lines) {
  if (end && *end - now < kTlsWarning) {
    lines.push_back(std::string("TLS: ") + what + (*end < now ? " expired on " : " expires on ") + Rfc3339(*end));
  }
}

std::vector<std::string> TlsWarnings(const TlsExpiry::Ends& ends, Time now) {
  std::vector<std::string> lines;
  AddCertificate("the certificate of tls.certificate", ends.certificate, now, lines);
  AddCertificate("an authority of tls.client_ca", ends.client_ca, now, lines);
  if (ends.crl && *ends.crl < now) {
    lines.push_back("TLS: an authority's CRL in tls.crl_directory is out of date since " + Rfc3339(*ends.crl) +
                    ": callers that it certified are refused");
  }
  return lines;
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
  Write(TlsWarnings(ends_, now), now);
}

void TlsExpiry::WarnOfNews(Time now) {
  const MutexLock lock(mutex_);
  if (const auto lines = TlsWarnings(ends_, now); lines != written_ || now >= next_warning_) {
    Write(lines, now);
  }
}

void TlsExpiry::Write(const std::vector<std::string>& lines, Time now) {
  for (const auto& line : lines) {
    spdlog::warn("{}", line);
  }
  written_ = lines;
  next_warning_ = now + kTlsInterval;
}

}  // namespace assertion
