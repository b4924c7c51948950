#pragma once

#include <string_view>

namespace assertion {

// True if the Accept field `accept` (RFC 9110 section 12.5.1) names `media_type` itself, which is lower case, and never
// with the weight 0. A wildcard does not name it: readers that send */* need not know the type. Parameters other than q
// are ignored. A range that breaks the grammar names nothing.
bool NamesMediaType(std::string_view accept, std::string_view media_type);

}  // namespace assertion
