#pragma once

#include <optional>

#include "assertion/clock.h"
#include "assertion/mutex.h"

namespace assertion {

// Until when the files of TLS are valid, for metrics and the log. All methods may be called from any thread.
class TlsExpiry {
 public:
  // Unset: not read yet, or there are none.
  struct Ends {
    std::optional<Time> certificate;  // of the server itself
    std::optional<Time> client_ca;    // the first authority to expire
    std::optional<Time> crl;          // the first authority without a current CRL

    bool operator==(const Ends&) const = default;
  };

  void SetCertificate(Time end);
  void SetTrust(Time client_ca, std::optional<Time> crl);

  Ends Read() const;

  // Logs each certificate that expires within 30 days, and CRLs that are out of date.
  void Warn(Time now);

  // The same, once a day and when there is something new to say.
  void WarnOfNews(Time now);

 private:
  void Write(const Ends& due, Time now) REQUIRES(mutex_);

  mutable Mutex mutex_;
  Ends ends_ GUARDED_BY(mutex_);
  Ends warned_ GUARDED_BY(mutex_);  // those that the last lines were about
  Time next_warning_ GUARDED_BY(mutex_);
};

}  // namespace assertion
