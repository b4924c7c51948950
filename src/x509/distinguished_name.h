#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// Reads a name in the string form of RFC 4514, for example "CN=orders,O=Example Ltd,C=DE": the most specific first, so
// the order in the certificate is the reverse. Types: CN, O, OU, C, ST, L, DC, serialNumber, emailAddress, in any case;
// each value within the bounds of RFC 5280 appendix A.1 and without control characters. An empty text is an empty name.
// INVALID_ARGUMENT otherwise, also for what RFC 4514 allows beyond that: '+' between attributes, "#hex" values, object
// identifiers as types.
Result<NamePtr> ParseDistinguishedName(std::string_view text);

// A value as it has to stand in that form: what may mean something else is escaped.
std::string EscapeValue(std::string_view value);

}  // namespace assertion::x509
