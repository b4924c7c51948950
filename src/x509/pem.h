#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/error.h"

namespace assertion::x509 {

// One block of PEM text (RFC 7468).
struct PemBlock {
  std::string type;  // between "BEGIN " and the dashes, as it was found
  bool has_headers;  // the older kind of PEM (RFC 1421), which RFC 7468 section 2 forbids
  Bytes content;
};

// The blocks in the order of the text; text around them is skipped. INVALID_ARGUMENT when one is cut off, is not
// base64, or does not begin its line (an indented block would otherwise be skipped as text). At most 2^31 - 1 octets.
Result<std::vector<PemBlock>> ReadPem(std::string_view text);

// One block without headers; lines end with LF.
std::string WritePem(const char* type, BytesView content);

}  // namespace assertion::x509
