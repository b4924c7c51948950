#pragma once

#include <string>
#include <string_view>

#include "oauth/http.h"

namespace assertion::cli {

// True if a reason in a machine's words (RFC 6749 section 5.2) is about the redirect URI, which itself may be quoted in
// any. RFC 9126 has no error code for it.
bool NamesRedirectUri(std::string reason, std::string_view redirect_uri);

// Why an authorization endpoint refuses the redirect URI, from its answer to a request that nobody's browser made. It
// must tell the person and not redirect (RFC 6749 section 4.1.2.1): by a page of status 4xx, or by a redirect to an
// error page of its own. Empty: the answer says nothing of that kind. In doubt it does not.
std::string RedirectUriRefusal(const oauth::HttpAnswer& answer, std::string_view redirect_uri);

}  // namespace assertion::cli
