#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/certificate.h"
#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::x509 {

// OpenSSL's object of one DER certificate; null when it is none, or more than one.
X509Ptr FromDer(BytesView der);

// Reads one DER certificate, with a public key of any kind; INVALID_ARGUMENT when it is none.
Result<Certificate> ParseCertificate(BytesView der);

// Reads the first certificate of a PEM text (RFC 7468).
Result<Certificate> ParsePem(std::string_view pem);

// The DER of the subject's name (RFC 5280 section 4.1.2.6), for CKA_SUBJECT.
Result<Bytes> SubjectOf(const Certificate& certificate);

// Subject (RFC 4514), end and SHA-256 of the certificate, as openssl x509 -fingerprint -sha256, in ASCII without
// control characters.
std::string DescriptionOf(const Certificate& certificate);

// The certificates one after the other as PEM: first octet '-', lines end with LF.
std::string ToPem(std::span<const Certificate> chain);

}  // namespace assertion::x509
