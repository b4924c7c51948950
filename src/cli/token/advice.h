#pragma once

#include <string>
#include <string_view>

#include "oauth/http.h"

namespace assertion::cli {

// Advice after an identity server's refusal, by its error code (RFC 6749 section 5.2) or else its HTTP status.
std::string AdviceFor(const oauth::HttpAnswer& answer);

// Advice after assertiond did not buy a token because of the identity server's certificate, by the message: waiting
// mends none of these. Empty: it failed otherwise.
std::string AdviceOnCertificate(std::string_view message);

}  // namespace assertion::cli
