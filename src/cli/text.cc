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
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    printable += octet < 0x20 || octet == 0x7F ? '?' : c;
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
