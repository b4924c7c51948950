#pragma once

#include <set>
#include <string>

namespace assertion {

// Names of attributes (PKCS#11 v2.40 base, sections 4.4 and 4.9), for example CKA_LOCAL.
using AttributeNames = std::set<std::string, std::less<>>;

}  // namespace assertion
