#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/certificate.h"
#include "assertion/error.h"

namespace assertion::x509 {

// Reads one DER certificate with an RSA public key; INVALID_ARGUMENT otherwise.
Result<Certificate> ParseCertificate(BytesView der);

// Reads the first certificate of a PEM text (RFC 7468).
Result<Certificate> ParsePem(std::string_view pem);

// The certificates one after the other as PEM: first octet '-', lines end with LF.
std::string ToPem(std::span<const Certificate> chain);

}  // namespace assertion::x509
