#include "jws/base64url.h"

#include <array>

namespace assertion::jws {
namespace {

constexpr std::string_view kUrlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kInvalid = 0xFF;

constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kInvalid);
  for (std::size_t i = 0; i < kUrlAlphabet.size(); ++i) {
    values[static_cast<std::uint8_t>(kUrlAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}();

std::string Encode(BytesView bytes, std::string_view alphabet) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t buffer = 0;
  unsigned bits = 0;
  for (const auto byte : bytes) {
    buffer = (buffer << 8U) | byte;
    for (bits += 8; bits >= 6; bits -= 6) {
      text += alphabet[(buffer >> (bits - 6)) & 0x3FU];
    }
  }
  if (bits > 0) {
    text += alphabet[(buffer << (6 - bits)) & 0x3FU];
  }
  return text;
}

}  // namespace

std::string Base64UrlEncode(BytesView bytes) { return Encode(bytes, kUrlAlphabet); }

std::string Base64Encode(BytesView bytes) {
  auto text = Encode(bytes, kAlphabet);
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

Result<Bytes> Base64UrlDecode(std::string_view text) {
  Bytes bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t buffer = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const auto value = kValues[static_cast<std::uint8_t>(c)];
    if (value == kInvalid) {
      return Fail(Code::kInvalidArgument, "not base64url: a character outside A-Z a-z 0-9 - _");
    }
    buffer = (buffer << 6U) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(buffer >> bits));
    }
  }
  if (text.size() % 4 == 1) {
    return Fail(Code::kInvalidArgument, "not base64url: cut off");
  }
  if ((buffer & ((1U << bits) - 1)) != 0) {
    return Fail(Code::kInvalidArgument, "not base64url: unused bits are not zero");
  }
  return bytes;
}

}  // namespace assertion::jws
