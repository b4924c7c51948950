#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"

namespace assertion::cli {

// Whether a token of the server's, `what` of the kinds that there are (an assertion, an access token, a proof), is one
// word of visible characters. A script that takes another one for a token adds lines or header fields to its request.
Status CheckReceived(const std::string& what, std::string_view token);

// Says on standard error what is wrong with the token; returns the exit status.
int ReportReceived(const Error& error);

}  // namespace assertion::cli
