#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/client.h"
#include "assertion/error.h"

// Compares a request with what the client's configuration allows. INVALID_ARGUMENT names the wrong
// field.
namespace assertion {

// The index of the audience; `wanted` empty: that of the first.
Result<std::size_t> RequestedAudience(const Client& client, std::string_view wanted);

// `wanted` unset: the client's default.
Result<std::chrono::seconds> RequestedLifetime(const Client& client, std::optional<std::chrono::seconds> wanted);

// Claims of a caller, in one of two forms.
struct CallerClaims {
  std::string_view field;        // their name in the request; that of the text ends in "_json"
  const nlohmann::json* object;  // null, or an object
  std::string_view json;         // empty, or the text of an object, which is signed as written
};

// The members as JSON, without braces; empty when there are none. `allow` vets each name and is told the field.
Result<std::string> RequestedClaims(
    const CallerClaims& claims, const std::function<Status(std::string_view name, const std::string& field)>& allow);

// The caller's text in quotation marks, as errors show it.
std::string QuotedRequest(std::string_view text);

}  // namespace assertion
