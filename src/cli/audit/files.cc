#include "cli/audit/files.h"

#include <CLI/CLI.hpp>

namespace assertion::cli {

void AddAuditFiles(CLI::App* verb, std::vector<std::string>& files) {
  verb->add_option("files", files, "Files of one audit log, in any order")->required()->type_name("FILE...");
}

}  // namespace assertion::cli
