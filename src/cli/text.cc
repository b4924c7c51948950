#include "cli/text.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

#include "assertion/utf8.h"
#include "config/invisible.h"

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
    // Counted between the dates, of which one is shown: instants of one second do not differ by a day.
    const auto whole = std::chrono::floor<std::chrono::days>(time) - std::chrono::floor<std::chrono::days>(now);
    span = std::to_string(std::abs(whole.count())) + " days";
  }
  return difference < 0 ? span + " ago" : "in " + span;
}

namespace {

constexpr char32_t kReplacement = 0xFFFD;  // for an octet that is no UTF-8

// A character as JSON escapes it; two of them above the basic plane (RFC 8259 section 7).
std::string JsonEscape(char32_t character) {
  constexpr char32_t kAbove = 0x10000;
  constexpr char32_t kHigh = 0xD800;
  constexpr char32_t kLow = 0xDC00;
  constexpr char32_t kHalf = 0x3FF;
  if (character >= kAbove) {
    return JsonEscape(kHigh + ((character - kAbove) >> 10U)) + JsonEscape(kLow + ((character - kAbove) & kHalf));
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string escaped = "\\u";
  for (const unsigned shift : {12U, 8U, 4U, 0U}) {
    escaped += kDigits[(character >> shift) & 0xFU];
  }
  return escaped;
}

// `replace` says what stands in place of a hidden character.
template <typename Replace>
std::string WithoutHidden(std::string_view text, const Replace& replace) {
  std::string plain;
  while (!text.empty()) {
    const auto octets = OctetsOfCharacter(text);
    const auto character = text.substr(0, std::max<std::size_t>(octets, 1));
    const auto point = octets == 0 ? kReplacement : CodePointOf(character);
    if (octets == 0 || IsHidden(point)) {
      plain += replace(point);
    } else {
      plain += character;
    }
    text.remove_prefix(character.size());
  }
  return plain;
}

}  // namespace

std::string Printable(std::string_view text) {
  return WithoutHidden(text, [](char32_t /*character*/) { return std::string("?"); });
}

std::string PrintableJson(std::string_view json) {
  return WithoutHidden(json, [](char32_t character) {
    switch (character) {
      case '\n':
      case '\t':
        return std::string(1, static_cast<char>(character));
      case '\r':
        return std::string(" ");
      default:
        return JsonEscape(character);
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
