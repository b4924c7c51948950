#pragma once

#include <prometheus/metric_family.h>

#include <chrono>
#include <cstddef>
#include <vector>

#include "assertion/mutex.h"
#include "audit/log.h"
#include "observe/assertion_tally.h"
#include "observe/readiness.h"
#include "observe/reload_outcome.h"
#include "observe/tls_expiry.h"
#include "signing/hsm_group.h"
#include "tokens/access_tokens.h"

namespace assertion {

// The metrics of this process.
class Metrics {
 public:
  // `log` null: there is no audit log. The other arguments must outlive this object.
  Metrics(const HsmGroup& hsms, std::size_t configured_hsms, const Readiness& readiness, const ReloadOutcome& reload,
          const AssertionTally& tally, const tokens::AccessTokens& tokens, const TlsExpiry& tls_expiry,
          const audit::Log* log)
      : hsms_(hsms),
        configured_hsms_(configured_hsms),
        readiness_(readiness),
        reload_(reload),
        tally_(tally),
        tokens_(tokens),
        tls_expiry_(tls_expiry),
        log_(log) {}

  // Call it before the audit log is destroyed.
  void ForgetLog() {
    const MutexLock lock(mutex_);
    log_ = nullptr;
  }

  // The current values, without a call into an HSM. Labels are token labels, configured client ids, kids and fixed
  // names; none holds text that a caller chose.
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  const HsmGroup& hsms_;
  const double started_ = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const std::size_t configured_hsms_;
  const Readiness& readiness_;
  const ReloadOutcome& reload_;
  const AssertionTally& tally_;
  const tokens::AccessTokens& tokens_;
  const TlsExpiry& tls_expiry_;
  mutable Mutex mutex_;
  const audit::Log* log_ GUARDED_BY(mutex_);
};

}  // namespace assertion
