#pragma once

#include <cstddef>
#include <string_view>

// Forms of audiences and client ids of some parties, see presets.cc, and of the URLs of DPoP proofs.
namespace assertion {

bool IsAnything(std::string_view text);
bool IsHttps(std::string_view text);

// An https URL whose path ends with the segment "token".
bool IsTokenEndpoint(std::string_view text);

// An https URL without query and fragment (RFC 8414 section 2) that is none of the usual endpoints.
bool IsIssuer(std::string_view text);

// An https URL without query and fragment, or an http URL of a loopback host: visible ASCII, percent signs with two
// digits, no user information, no host that is empty.
bool IsRequestTarget(std::string_view text);

// A nonce for a DPoP proof (RFC 9449 section 8.1): NQCHAR of RFC 6749 appendix A, not empty.
inline constexpr std::size_t kMaxDpopNonceOctets = 512;
bool IsDpopNonce(std::string_view text);

// RFC 9562 section 4.
bool IsUuid(std::string_view text);

// Not empty, and of these characters alone.
bool IsOf(std::string_view text, std::string_view characters);

// ACCOUNT.USER in upper case; the account has no dots.
bool IsSnowflakeUser(std::string_view text);

bool IsEntraTokenEndpoint(std::string_view text);
bool IsSalesforceAudience(std::string_view text);

}  // namespace assertion
