#include "cli/text.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

namespace assertion::cli {

std::string Relative(Time time, Time now) {
  const auto difference = (time - now).count();
  const auto size = std::abs(difference);
  std::string span;
  if (size < 120) {
    span = std::to_string(size) + " s";
  } else if (size < 7200) {
    span = std::to_string(size / 60) + " min";
  } else if (size < 172800) {
    span = std::to_string(size / 3600) + " h";
  } else {
    span = std::to_string(size / 86400) + " days";
  }
  return difference < 0 ? span + " ago" : "in " + span;
}

namespace {

// A character that steers a terminal or makes text look like other text: controls (C0, DEL, C1), what changes the
// direction of text (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), line separators and characters
// without width. `octets`: its length in UTF-8; 0: the text does not begin with such a character.
struct Deceiver {
  char32_t character = 0;
  std::size_t octets = 0;
};

constexpr bool Deceives(char32_t character) {
  return character < 0x20 || (character >= 0x7F && character < 0xA0) || character == 0x061C || character == 0x180E ||
         (character >= 0x200B && character <= 0x200F) || (character >= 0x2028 && character <= 0x202E) ||
         (character >= 0x2060 && character <= 0x206F) || character == 0xFEFF;
}

// None of them has more than three octets.
Deceiver DeceiverAt(std::string_view text) {
  const auto octet = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const auto follows = [&](std::size_t at) { return at < text.size() && (octet(at) & 0xC0U) == 0x80; };
  Deceiver found{.character = octet(0), .octets = 1};
  if ((octet(0) & 0xE0U) == 0xC0 && follows(1)) {
    found = {.character = ((octet(0) & 0x1FU) << 6U) | (octet(1) & 0x3FU), .octets = 2};
  } else if ((octet(0) & 0xF0U) == 0xE0 && follows(1) && follows(2)) {
    found = {.character = ((octet(0) & 0x0FU) << 12U) | ((octet(1) & 0x3FU) << 6U) | (octet(2) & 0x3FU), .octets = 3};
  } else if (octet(0) >= 0x80) {
    return {};
  }
  return Deceives(found.character) ? found : Deceiver{};
}

std::string Escaped(char32_t character) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string escaped = "\\u";
  for (const unsigned shift : {12U, 8U, 4U, 0U}) {
    escaped += kDigits[(character >> shift) & 0xFU];
  }
  return escaped;
}

// `replace` says what stands in its place.
template <typename Replace>
std::string WithoutDeceivers(std::string_view text, const Replace& replace) {
  std::string plain;
  while (!text.empty()) {
    const auto found = DeceiverAt(text);
    plain += found.octets == 0 ? std::string(1, text.front()) : replace(found.character);
    text.remove_prefix(found.octets == 0 ? 1 : found.octets);
  }
  return plain;
}

}  // namespace

std::string Printable(std::string_view text) {
  return WithoutDeceivers(text, [](char32_t /*character*/) { return std::string("?"); });
}

std::string PrintableJson(std::string_view json) {
  return WithoutDeceivers(json, [](char32_t character) {
    switch (character) {
      case '\n':
      case '\t':
        return std::string(1, static_cast<char>(character));
      case '\r':
        return std::string(" ");
      default:
        return Escaped(character);
    }
  });
}

std::string PrintableLines(std::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const auto end = text.find_first_of("\t\n");
    const auto part = text.substr(0, end);
    const bool crlf = end != std::string_view::npos && text[end] == '\n' && part.ends_with('\r');
    printable += Printable(crlf ? part.substr(0, part.size() - 1) : part);
    if (end == std::string_view::npos) {
      break;
    }
    printable.append(crlf ? "\r" : "").push_back(text[end]);
    text.remove_prefix(end + 1);
  }
  return printable;
}

namespace {

// Streams keep the reason in errno alone.
std::unexpected<Error> FileFault(const std::string& what) {
  return Fail(Code::kConfigInvalid, what + (errno == 0 ? "" : std::string(": ") + std::strerror(errno)));
}

}  // namespace

Result<std::string> ReadText(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  std::ifstream file;
  const bool from_stdin = path.empty() || path == "-";
  errno = 0;
  if (!from_stdin) {
    file.open(path, std::ios::binary);
  }
  auto& in = from_stdin ? std::cin : file;
  std::string text(kMost, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (!from_stdin && !file.is_open())) {
    return FileFault("cannot read " + (from_stdin ? "standard input" : path));
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

Result<std::string> ReadLine(const std::string& path) {
  ASSIGN_OR_RETURN(auto text, ReadText(path));
  text.erase(text.find_last_not_of("\r\n") + 1);
  return text;
}

Status WriteText(const std::string& path, std::string_view text) {
  std::ofstream file;
  errno = 0;
  if (!path.empty()) {
    file.open(path, std::ios::binary | std::ios::trunc);
  }
  auto& out = path.empty() ? std::cout : file;
  out.write(text.data(), static_cast<std::streamsize>(text.size())).flush();
  if (!out) {
    return FileFault("cannot write " + (path.empty() ? "standard output" : path));
  }
  return {};
}

}  // namespace assertion::cli
