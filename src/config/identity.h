#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"

namespace assertion {

// A caller as the configuration names it, in the form that Caller::identities() has:
//
//   uid:1000           processes of that user on this machine
//   user:NAME          the same by name, which must exist now; becomes uid:…
//   dns:host.example   a certificate's subject alternative name, in lower case
//   spiffe://td/path   a URI as a subject alternative name; of SPIFFE IDs also a prefix: spiffe://td/ns/*
//
// INVALID_ARGUMENT.
Result<std::string> ParseIdentity(std::string_view text);

}  // namespace assertion
