#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"

namespace assertion::jws {

// The JOSE header {alg, kid, typ}, base64url: fixed for a key, so made once (RFC 7515 section 4.1).
std::string EncodedHeader(const Algorithm& algorithm, std::string_view kid, std::string_view typ = "JWT");
std::string EncodedHeader(const nlohmann::ordered_json& header);

// BASE64URL(header) || '.' || BASE64URL(payload): what is signed (RFC 7515 section 5.1).
std::string SigningInput(std::string_view encoded_header, std::string_view payload);

// JWS Compact Serialization (RFC 7515 section 3.1).
std::string Compact(std::string signing_input, BytesView signature);

// The parts of a compact JWS, not verified.
struct Unverified {
  nlohmann::ordered_json header;
  nlohmann::ordered_json claims;  // without members that hold a number beyond a double's range
  std::string payload;            // the claims as written
  std::string signing_input;
  Bytes signature;
};

// Takes exactly three base64url parts of which the first two are JSON objects, nested at most ObjectText::kMaxDepth
// deep: a claim of a foreign JWT may be shown, indented by its depth.
Result<Unverified> ParseCompact(std::string_view text);

}  // namespace assertion::jws
