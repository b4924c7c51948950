#pragma once

#include <string_view>

namespace assertion {

// Whether the Host field (RFC 9110 section 7.2) of a request to a loopback address is one with which a person or a
// program of this machine asks: an IP address, localhost or a name below it (RFC 6761 section 6.3), or `own`, the name
// that the configuration gives the listener. Also if there is no Host: browsers send one.
bool NamesThisMachine(std::string_view host, std::string_view own);

}  // namespace assertion
