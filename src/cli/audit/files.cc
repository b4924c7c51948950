#include "cli/audit/files.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <ranges>
#include <utility>

#include "audit/line.h"
#include "audit/raw_line.h"
#include "x509/regular_file.h"

namespace assertion::cli {
namespace {

// Files that assertiond keeps beside a log: `audit.log*` matches them, too.
bool IsBesideALog(const std::string& file) { return file.ends_with(".lock") || file.ends_with(".torn"); }

// The sequence of the file's first line; the highest for one without lines, which is new. 0 for what is not a log's,
// and for a pipe, which can be read only once.
std::uint64_t FirstSequence(const std::string& name) {
  std::error_code unknown;
  if (IsBesideALog(name) || !std::filesystem::is_regular_file(name, unknown)) {
    return 0;
  }
  std::ifstream stream(name, std::ios::binary);
  std::string buffer;
  while (const auto raw = audit::ReadRawLine(stream, buffer)) {
    if (const auto line = audit::ParseLine(raw->text)) {
      return line->sequence;
    }
  }
  return std::numeric_limits<std::uint64_t>::max();
}

}  // namespace

std::vector<std::string> InOrder(const std::vector<std::string>& names) {
  std::vector<std::pair<std::uint64_t, std::string>> ordered;
  ordered.reserve(names.size());
  for (const auto& name : names) {
    ordered.emplace_back(names.size() > 1 ? FirstSequence(name) : 0, name);
  }
  std::ranges::stable_sort(ordered, {}, &std::pair<std::uint64_t, std::string>::first);
  const auto sorted = std::views::values(ordered);
  return {sorted.begin(), sorted.end()};
}

Status CheckAuditFile(const std::string& name) {
  if (name == "/dev/stdin" || name.starts_with("/dev/fd/")) {
    return {};
  }
  const auto regular = x509::CheckRegularFile(name);
  return regular ? Status() : Fail(Code::kConfigInvalid, name + " " + regular.error().message);
}

Result<AuditFiles> OpenAuditFiles(const std::vector<std::string>& names) {
  AuditFiles files;
  for (const auto& name : names) {
    if (IsBesideALog(name)) {
      continue;
    }
    if (const auto regular = x509::CheckRegularFile(name); !regular) {
      return Fail(Code::kConfigInvalid, name + " " + regular.error().message);
    }
    auto& stream = files.streams.emplace_back(std::make_unique<std::ifstream>(name, std::ios::binary));
    if (!stream->is_open() || stream->peek() == std::ifstream::traits_type::eof()) {
      return Fail(Code::kConfigInvalid, name + " cannot be read, or is empty");
    }
    files.sources.push_back({.name = name, .stream = stream.get()});
  }
  if (files.sources.empty()) {
    return Fail(Code::kConfigInvalid, "there is no file of an audit log among these");
  }
  return files;
}

void AddAuditFiles(CLI::App* verb, std::vector<std::string>& files) {
  verb->add_option("files", files, "Files of one audit log, in any order")->required()->type_name("FILE...");
}

}  // namespace assertion::cli
