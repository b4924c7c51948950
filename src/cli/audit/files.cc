#include "cli/audit/files.h"

#include <CLI/CLI.hpp>

namespace assertion::cli {
namespace {

// Files that assertiond keeps beside a log: `audit.log*` matches them, too.
bool IsBesideALog(const std::string& file) { return file.ends_with(".lock") || file.ends_with(".torn"); }

}  // namespace

Result<AuditFiles> OpenAuditFiles(const std::vector<std::string>& names) {
  AuditFiles files;
  for (const auto& name : names) {
    if (IsBesideALog(name)) {
      continue;
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
