#include "cli/text.h"

#include <cstdio>
#include <cstdlib>
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

std::string Printable(std::string_view text) {
  std::string printable;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto octet = static_cast<unsigned char>(text[at]);
    const auto next = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0;
    if (octet == 0xC2 && next >= 0x80 && next < 0xA0) {
      printable += '?';  // U+0080 to U+009F: controls, too
      ++at;
    } else {
      printable += octet < 0x20 || octet == 0x7F ? '?' : text[at];
    }
  }
  return printable;
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

Result<std::string> ReadText(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  std::ifstream file;
  const bool from_stdin = path.empty() || path == "-";
  if (!from_stdin) {
    file.open(path, std::ios::binary);
  }
  auto& in = from_stdin ? std::cin : file;
  std::string text(kMost, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (!from_stdin && !file.is_open())) {
    return Fail(Code::kConfigInvalid, "cannot read " + path);
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
  if (!path.empty()) {
    file.open(path, std::ios::binary | std::ios::trunc);
  }
  auto& out = path.empty() ? std::cout : file;
  out.write(text.data(), static_cast<std::streamsize>(text.size())).flush();
  if (!out) {
    return Fail(Code::kConfigInvalid, "cannot write " + (path.empty() ? "standard output" : path));
  }
  return {};
}

}  // namespace assertion::cli
