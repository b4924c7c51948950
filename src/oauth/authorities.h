#pragma once

#include <openssl/x509_vfy.h>

#include <memory>
#include <string>

#include "assertion/error.h"
#include "x509/openssl.h"

namespace assertion::oauth {

using AuthoritiesPtr = std::unique_ptr<X509_STORE, x509::Deleter<X509_STORE_free>>;

// The authorities of a PEM file: at least one certificate, and none that is broken. Only a regular file is opened, and
// nothing is waited for: a FIFO would hold the thread for ever. kConfigInvalid names the file.
Result<AuthoritiesPtr> ReadAuthorities(const std::string& file);

// Whether ReadAuthorities takes the file. "": whether OpenSSL finds authorities where it looks by default,
// SSL_CERT_FILE and SSL_CERT_DIR or the places that it was built with; without any, no certificate of an https server
// is trusted.
Status CheckAuthorities(const std::string& file);

}  // namespace assertion::oauth
