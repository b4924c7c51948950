#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "signing/hsm_group.h"

namespace assertion {

// What monitoring asks of the keys at this moment: versions of the ledgers, which keys sign, when certificates expire.
// Labels are token labels, client ids of the configuration and kids: nothing that a caller chose.
std::vector<prometheus::MetricFamily> KeyMetrics(const HsmGroup& hsms);

}  // namespace assertion
