#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "oauth/form.h"

namespace assertion::cli {

// The parameters of a redirect. Nothing when one is repeated (RFC 6749 section 3.1) or no URL encoding.
std::optional<oauth::FormFields> QueryOf(std::string_view query);

// The value of a field; empty if there is none.
std::string FieldOf(const oauth::FormFields& fields, std::string_view name);

}  // namespace assertion::cli
