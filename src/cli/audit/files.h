#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace assertion::cli {

// The positional FILEs of the verbs that read an audit log.
void AddAuditFiles(CLI::App* verb, std::vector<std::string>& files);

}  // namespace assertion::cli
