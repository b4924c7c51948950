#include "jws/object_text.h"

#include <cstdint>
#include <optional>
#include <set>

#include "assertion/utf8.h"

namespace assertion::jws {
namespace {

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::optional<std::uint32_t> HexDigit(char c) {
  constexpr std::uint32_t kTen = 10;
  if (IsDigit(c)) {
    return static_cast<std::uint32_t>(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    return static_cast<std::uint32_t>(c - 'a') + kTen;
  }
  if (c >= 'A' && c <= 'F') {
    return static_cast<std::uint32_t>(c - 'A') + kTen;
  }
  return std::nullopt;
}

void AppendUtf8(std::string& text, std::uint32_t point) {
  constexpr std::uint32_t kBits = 6;
  constexpr std::uint32_t kRest = 0x3F;
  constexpr std::uint32_t kFollows = 0x80;
  struct Form {
    std::uint32_t below;  // the first code point that needs more octets
    std::uint32_t first;
    std::uint32_t more;  // octets after the first
  };
  for (const auto& form :
       {Form{.below = 0x80, .first = 0, .more = 0}, Form{.below = 0x800, .first = 0xC0, .more = 1},
        Form{.below = 0x10000, .first = 0xE0, .more = 2}, Form{.below = 0x110000, .first = 0xF0, .more = 3}}) {
    if (point < form.below) {
      text += static_cast<char>(form.first | (point >> (form.more * kBits)));
      for (auto left = form.more; left > 0; --left) {
        text += static_cast<char>(kFollows | ((point >> ((left - 1) * kBits)) & kRest));
      }
      return;
    }
  }
}

// Walks over the text once. Each function moves `at_` past the element that it is named after, or sets the reason.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<ObjectText> Read() {
    ObjectText object;
    Blanks();
    const auto begin = at_ + 1;
    if (!Object(&object.members, 1)) {
      return Wrong();
    }
    object.inside = Trimmed(text_.substr(begin, at_ - 1 - begin));
    Blanks();
    if (at_ != text_.size()) {
      Refuse("nothing may follow the object");
      return Wrong();
    }
    return object;
  }

 private:
  char Next() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool Take(char c) {
    const bool is_it = at_ < text_.size() && text_[at_] == c;
    at_ += is_it ? 1 : 0;
    return is_it;
  }

  bool Refuse(std::string_view why) {
    why_ = why;
    return false;
  }

  std::unexpected<Error> Wrong() const {
    return Fail(Code::kInvalidArgument, "octet " + std::to_string(at_ + 1) + ": " + std::string(why_));
  }

  static std::string_view Trimmed(std::string_view text) {
    while (!text.empty() && IsBlank(text.front())) {
      text.remove_prefix(1);
    }
    while (!text.empty() && IsBlank(text.back())) {
      text.remove_suffix(1);
    }
    return text;
  }

  void Blanks() {
    while (IsBlank(Next())) {
      ++at_;
    }
  }

  // `members` is filled unless null.
  bool Object(std::vector<ObjectText::Member>* members, int depth) {
    if (depth > ObjectText::kMaxDepth) {
      return Refuse("nested more than 32 deep");
    }
    if (!Take('{')) {
      return Refuse("a JSON object begins with '{'");
    }
    Blanks();
    if (Take('}')) {
      return true;
    }
    std::set<std::string, std::less<>> names;
    do {
      Blanks();
      std::string name;
      if (!String(name)) {
        return false;
      }
      const auto [added, is_new] = names.insert(std::move(name));
      if (!is_new) {
        return Refuse("the object has a member of this name already");
      }
      Blanks();
      if (!Take(':')) {
        return Refuse("':' must follow a member's name");
      }
      Blanks();
      const auto begin = at_;
      if (!Value(depth)) {
        return false;
      }
      if (members != nullptr) {
        members->push_back({.name = *added, .value = text_.substr(begin, at_ - begin)});
      }
      Blanks();
    } while (Take(','));
    return Take('}') || Refuse("',' or '}' must follow a member");
  }

  bool Array(int depth) {
    if (depth > ObjectText::kMaxDepth) {
      return Refuse("nested more than 32 deep");
    }
    Take('[');
    Blanks();
    if (Take(']')) {
      return true;
    }
    do {
      Blanks();
      if (!Value(depth)) {
        return false;
      }
      Blanks();
    } while (Take(','));
    return Take(']') || Refuse("',' or ']' must follow an element");
  }

  bool Value(int depth) {
    switch (Next()) {
      case '{':
        return Object(nullptr, depth + 1);
      case '[':
        return Array(depth + 1);
      case '"': {
        std::string ignored;
        return String(ignored);
      }
      default:
        break;
    }
    if (Word("true") || Word("false") || Word("null")) {
      return true;
    }
    return Next() == '-' || IsDigit(Next()) ? Number() : Refuse("a value of JSON is missing here");
  }

  bool Word(std::string_view word) {
    const bool is_it = text_.substr(at_).starts_with(word);
    at_ += is_it ? word.size() : 0;
    return is_it;
  }

  bool Digits() {
    if (!IsDigit(Next())) {
      return Refuse("a number lacks a digit");
    }
    while (IsDigit(Next())) {
      ++at_;
    }
    return true;
  }

  // RFC 8259 section 6: no leading zeros, no '+', digits on both sides of the point.
  bool Number() {
    Take('-');
    if (!Take('0') && !Digits()) {
      return false;
    }
    if (IsDigit(Next())) {
      return Refuse("a number has no zero in front");
    }
    if (Take('.') && !Digits()) {
      return false;
    }
    if (Take('e') || Take('E')) {
      if (!Take('+')) {
        Take('-');
      }
      return Digits();
    }
    return true;
  }

  bool String(std::string& value) {
    constexpr unsigned char kFirstPrintable = 0x20;
    if (!Take('"')) {
      return Refuse("a member's name begins with '\"'");
    }
    while (!Take('"')) {
      if (Take('\\')) {
        if (!Escape(value)) {
          return false;
        }
        continue;
      }
      const auto octets = OctetsOfCharacter(text_.substr(at_));
      if (octets == 0) {
        return Refuse(at_ == text_.size() ? "a string has no end" : "not valid UTF-8");
      }
      if (static_cast<unsigned char>(Next()) < kFirstPrintable) {
        return Refuse("a control character in a string must be escaped");
      }
      value += text_.substr(at_, octets);
      at_ += octets;
    }
    return true;
  }

  // Reads what follows a backslash.
  bool Escape(std::string& value) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (Take('u')) {
      const auto point = EscapedPoint();
      if (point) {
        AppendUtf8(value, *point);
      }
      return point.has_value();
    }
    const auto letter = at_ < text_.size() ? kLetters.find(Next()) : std::string_view::npos;
    if (letter == std::string_view::npos) {
      return Refuse("not an escape of JSON");
    }
    value += kMeant[letter];
    ++at_;
    return true;
  }

  std::optional<std::uint32_t> EscapedPoint() {
    constexpr std::uint32_t kHighFirst = 0xD800;
    constexpr std::uint32_t kLowFirst = 0xDC00;
    constexpr std::uint32_t kLowLast = 0xDFFF;
    constexpr std::uint32_t kBits = 10;
    constexpr std::uint32_t kBase = 0x10000;
    const auto unit = CodeUnit();
    if (!unit || *unit < kHighFirst || *unit > kLowLast) {
      return unit;
    }
    if (*unit < kLowFirst && Word("\\u")) {
      const auto low = CodeUnit();
      if (!low || (*low >= kLowFirst && *low <= kLowLast)) {
        return low ? std::optional(kBase + ((*unit - kHighFirst) << kBits) + (*low - kLowFirst)) : low;
      }
    }
    Refuse("half of a surrogate pair");
    return std::nullopt;
  }

  // Reads four hexadecimal digits.
  std::optional<std::uint32_t> CodeUnit() {
    constexpr std::uint32_t kBits = 4;
    std::uint32_t unit = 0;
    for (int i = 0; i < 4; ++i) {
      const auto digit = HexDigit(Next());
      if (!digit) {
        Refuse("\\u takes four hexadecimal digits");
        return std::nullopt;
      }
      unit = (unit << kBits) | *digit;
      ++at_;
    }
    return unit;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::string_view why_;  // the reason of the first refusal
};

}  // namespace

Result<ObjectText> ParseObjectText(std::string_view json) { return Reader(json).Read(); }

std::string Indented(std::string_view json) {
  std::string text;
  std::size_t depth = 0;
  bool in_string = false;
  bool is_escaped = false;
  const auto new_line = [&] { text += '\n' + std::string(2 * depth, ' '); };
  for (const auto c : json) {
    if (in_string) {
      in_string = is_escaped || c != '"';
      is_escaped = !is_escaped && c == '\\';
      text += c;
    } else if (c == '}' || c == ']') {
      depth -= depth == 0 ? 0 : 1;
      if (!text.ends_with('{') && !text.ends_with('[')) {
        new_line();
      }
      text += c;
    } else if (!IsBlank(c)) {
      if (text.ends_with('{') || text.ends_with('[') || text.ends_with(',')) {
        new_line();
      }
      text += c;
      text += c == ':' ? " " : "";
      depth += c == '{' || c == '[' ? 1 : 0;
      in_string = c == '"';
    }
  }
  return text;
}

}  // namespace assertion::jws
