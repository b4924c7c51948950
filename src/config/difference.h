#pragma once

#include <string>

#include "config/config.h"

namespace assertion {

// What a reload takes over and `after` has otherwise than `before`, for the audit log: "+" for what is new, "-" for
// what went, "~" for what changed, with the fields of a client that did. Who holds power comes before the clients. For
// example ~two_person_rule RevokeKey within 3600 s; +operator "uid:1001" viewer approver; ~client "orders" callers
// Visible ASCII, at most 1000 octets: "; and 12 more" ends a longer list.
std::string DifferenceOf(const Config& before, const Config& after);

}  // namespace assertion
