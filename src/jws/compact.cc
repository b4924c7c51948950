#include "jws/compact.h"

#include <utility>

#include "jws/base64url.h"
#include "jws/foreign_json.h"
#include "jws/object_text.h"

namespace assertion::jws {
namespace {

struct Decoded {
  nlohmann::ordered_json object;
  std::string text;
};

// The members, without numbers beyond the range of a double such as 1e400. Discarded when the text is no object.
nlohmann::ordered_json ReadableMembers(std::string_view text) {
  const auto written = ParseObjectText(text);
  if (!written) {
    return nlohmann::ordered_json::value_t::discarded;
  }
  auto object = nlohmann::ordered_json::object();
  for (const auto& [name, value] : written->members) {
    if (auto parsed = nlohmann::ordered_json::parse(value, nullptr, /*allow_exceptions=*/false);
        !parsed.is_discarded()) {
      object[name] = std::move(parsed);
    }
  }
  return object;
}

Result<Decoded> DecodeObject(std::string_view part, const std::string& name) {
  const auto octets = Base64UrlDecode(part);
  if (!octets) {
    return Fail(Code::kInvalidArgument, "the " + name + " is " + octets.error().message);
  }
  std::string text(octets->begin(), octets->end());
  if (IsNestedTooDeeply(text)) {
    return Fail(Code::kInvalidArgument,
                "the " + name + " is nested more than " + std::to_string(ObjectText::kMaxDepth) + " deep");
  }
  if (HasNul(text)) {
    return Fail(Code::kInvalidArgument, "the " + name + " is not a JSON object: it holds an octet NUL");
  }
  Decoded decoded{.object = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false),
                  .text = std::move(text)};
  if (decoded.object.is_discarded()) {
    decoded.object = ReadableMembers(decoded.text);
  }
  if (!decoded.object.is_object()) {
    return Fail(Code::kInvalidArgument, "the " + name + " is not a JSON object");
  }
  return decoded;
}

}  // namespace

std::string EncodedHeader(const Algorithm& algorithm, std::string_view kid, std::string_view typ) {
  return EncodedHeader({{"alg", algorithm.name}, {"kid", kid}, {"typ", typ}});
}

std::string EncodedHeader(const nlohmann::ordered_json& header) { return Base64UrlEncode(AsBytes(header.dump())); }

std::string SigningInput(std::string_view encoded_header, std::string_view payload) {
  return std::string(encoded_header) + '.' + Base64UrlEncode(AsBytes(payload));
}

std::string Compact(std::string signing_input, BytesView signature) {
  return std::move(signing_input) + '.' + Base64UrlEncode(signature);
}

Result<Unverified> ParseCompact(std::string_view text) {
  const auto first = text.find('.');
  const auto last = text.rfind('.');
  if (first == std::string_view::npos || first == last || text.find('.', first + 1) != last) {
    return Fail(Code::kInvalidArgument, "not a JWT: it must have three parts with dots between");
  }
  ASSIGN_OR_RETURN(auto header, DecodeObject(text.substr(0, first), "header"));
  ASSIGN_OR_RETURN(auto claims, DecodeObject(text.substr(first + 1, last - first - 1), "claims set"));
  auto signature = Base64UrlDecode(text.substr(last + 1));
  if (!signature || signature->empty()) {
    return Fail(Code::kInvalidArgument, "the signature is " + (signature ? "empty" : signature.error().message));
  }
  return Unverified{.header = std::move(header.object),
                    .claims = std::move(claims.object),
                    .payload = std::move(claims.text),
                    .signing_input = std::string(text.substr(0, last)),
                    .signature = std::move(*signature)};
}

}  // namespace assertion::jws
