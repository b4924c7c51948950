#pragma once

#include <prometheus/metric_family.h>

#include <chrono>
#include <cstddef>
#include <vector>

#include "assertion/mutex.h"
#include "audit/log.h"
#include "observe/assertion_tally.h"
#include "observe/readiness.h"
#include "signing/hsm_group.h"

namespace assertion {

// What monitoring asks of this process. All must outlive it.
class Metrics {
 public:
  // `log` may be null: there is no audit log.
  Metrics(const HsmGroup& hsms, std::size_t configured_hsms, const Readiness& readiness, const AssertionTally& tally,
          const audit::Log* log)
      : hsms_(hsms), configured_hsms_(configured_hsms), readiness_(readiness), tally_(tally), log_(log) {}

  // The audit log ends before this.
  void ForgetLog() {
    const MutexLock lock(mutex_);
    log_ = nullptr;
  }

  // As of now; asks no HSM. Labels are token labels, client ids of the configuration, kids, and names that are
  // assertiond's own: nothing that a caller chose.
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  const HsmGroup& hsms_;
  const double started_ = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const std::size_t configured_hsms_;
  const Readiness& readiness_;
  const AssertionTally& tally_;
  mutable Mutex mutex_;
  const audit::Log* log_ GUARDED_BY(mutex_);
};

}  // namespace assertion
