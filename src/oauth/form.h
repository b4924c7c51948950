#pragma once

#include <string>
#include <utility>
#include <vector>

#include "assertion/error.h"
#include "oauth/http.h"

namespace assertion::oauth {

// Names and values of a form, in order. Values may be any octets.
using FormFields = std::vector<std::pair<std::string, std::string>>;

// A-Z a-z 0-9 - . _ ~ (RFC 3986 section 2.3).
bool IsUnreserved(char c);

// application/x-www-form-urlencoded (RFC 6749 appendix B). Fields without a value are left out, as if they were not
// there (RFC 6749 section 3.2).
std::string EncodeForm(const FormFields& fields);

// Posts a form as Exchange does, as what `how` says besides. UNAVAILABLE when no answer came.
Result<HttpAnswer> PostForm(const Url& endpoint, const std::string& ca_file, const FormFields& fields,
                            HttpRequest how = {});

}  // namespace assertion::oauth
