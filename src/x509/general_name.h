#pragma once

#include <openssl/x509v3.h>

#include <memory>
#include <string_view>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

using GeneralNamePtr = std::unique_ptr<GENERAL_NAME, Deleter<GENERAL_NAME_free>>;

// Reads one subject alternative name (RFC 5280 section 4.2.1.6), at most 255 characters after its kind:
//   DNS:orders.example.com      a host name of letters, digits and hyphens, A-labels for others; no wildcard
//   URI:spiffe://example.com/x  absolute (RFC 3986), without user; a host, where there is one, is a name or an address
//   email:ops@example.com       dot-atom@host (RFC 5321 section 4.1.2)
//   IP:192.0.2.7, IP:2001:db8::7
// INVALID_ARGUMENT otherwise. The octets become the name as they are, past OpenSSL's configuration syntax.
Result<GeneralNamePtr> ParseGeneralName(std::string_view text);

}  // namespace assertion::x509
