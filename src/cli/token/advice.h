#pragma once

#include <string>

#include "oauth/http.h"

namespace assertion::cli {

// Advice after an identity server's refusal, by its error code (RFC 6749 section 5.2) or else its HTTP status.
std::string AdviceFor(const oauth::HttpAnswer& answer);

}  // namespace assertion::cli
