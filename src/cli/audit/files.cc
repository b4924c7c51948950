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

bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The names that assertiond gives the files of a log when audit.path says nothing else.
bool IsNameOfLog(std::string_view name) {
  constexpr std::string_view kCurrent = "audit.log";
  constexpr std::string_view kRotated = "audit.log.";
  return name == kCurrent || (name.starts_with(kRotated) && IsNumber(name.substr(kRotated.size())));
}

Status AppendFilesOf(const std::string& folder, std::vector<std::string>& files) {
  const auto before = files.size();
  std::error_code failed;
  for (std::filesystem::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    if (IsNameOfLog(at->path().filename().native())) {
      files.push_back(at->path());
    }
  }
  if (failed) {
    return Fail(Code::kConfigInvalid, folder + " cannot be listed: " + failed.message());
  }
  return files.size() > before
             ? Status()
             : Fail(Code::kConfigInvalid, folder + ": no file audit.log or audit.log.SEQUENCE is in this folder");
}

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

Result<std::vector<std::string>> FilesNamed(const std::vector<std::string>& names) {
  std::vector<std::string> files;
  for (const auto& name : names) {
    std::error_code failed;
    if (std::filesystem::is_directory(name, failed)) {
      RETURN_IF_ERROR(AppendFilesOf(name, files));
    } else if (failed && name.find_first_of("*?[") != std::string::npos) {
      return Fail(Code::kConfigInvalid, "no file matches " + name + ": the shell found none");
    } else {
      files.push_back(name);
    }
  }
  return files;
}

std::string CurrentName(const std::string& file) {
  constexpr std::size_t kDigits = 20;
  const auto dot = file.rfind('.');
  return dot != std::string::npos && file.size() - dot == kDigits + 1 && IsNumber(file.substr(dot + 1))
             ? file.substr(0, dot)
             : file;
}

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
  verb->add_option("files", files, "Files of one audit log, in any order, or its folder")
      ->required()
      ->type_name("FILE...");
}

}  // namespace assertion::cli
