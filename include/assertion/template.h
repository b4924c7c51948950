#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"

namespace assertion {

// Words in braces that a template of a claim may use.
enum class TemplateWord { kClientId, kKid, kX5tS256, kFingerprint };

inline constexpr std::array<std::string_view, 4> kTemplateWords = {
    "client_id",            //
    "kid",                  // as in the header
    "x5t#S256",             // of the key's certificate
    "fingerprint:SHA256"};  // base64 of the SHA-256 of the public key's SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)

// A literal text, then perhaps the value of a word.
struct TemplatePiece {
  std::string text;
  std::optional<TemplateWord> word;
};

// INVALID_ARGUMENT: a word that is not known (it is Error::detail), or a brace without the other.
inline Result<std::vector<TemplatePiece>> ParseTemplate(std::string_view text) {
  std::vector<TemplatePiece> pieces;
  while (!text.empty()) {
    const auto brace = text.find_first_of("{}");
    TemplatePiece piece{.text = std::string(text.substr(0, brace)), .word = {}};
    if (brace == std::string_view::npos) {
      pieces.push_back(std::move(piece));
      break;
    }
    const auto end = text.find('}', brace);
    if (text[brace] == '}' || end == std::string_view::npos) {
      return Fail(Code::kInvalidArgument, "has a brace without the other");
    }
    const auto word = text.substr(brace + 1, end - brace - 1);
    const auto* const found = std::ranges::find(kTemplateWords, word);
    if (found == kTemplateWords.end()) {
      return Fail(Code::kInvalidArgument, "has a word in braces that is none of the template's", std::string(word));
    }
    piece.word = static_cast<TemplateWord>(found - kTemplateWords.begin());
    pieces.push_back(std::move(piece));
    text.remove_prefix(end + 1);
  }
  return pieces;
}

}  // namespace assertion
