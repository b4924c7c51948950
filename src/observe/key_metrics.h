#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "keys/key_ring.h"

namespace assertion {

// What monitoring asks of the keys at this moment: versions of the ledgers, which keys sign, when certificates expire.
// Labels are client ids of the configuration and kids: nothing that a caller chose.
std::vector<prometheus::MetricFamily> KeyMetrics(const KeyRing& keys);

}  // namespace assertion
