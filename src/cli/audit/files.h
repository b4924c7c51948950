#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "assertion/error.h"
#include "audit/verification.h"

namespace CLI {
class App;
}

namespace assertion::cli {

// A log's files, open. The sources refer to the streams.
struct AuditFiles {
  std::vector<std::unique_ptr<std::ifstream>> streams;
  std::vector<audit::Source> sources;
};

// kConfigInvalid: a file cannot be read or is empty, or none is an audit log's.
Result<AuditFiles> OpenAuditFiles(const std::vector<std::string>& names);

// kConfigInvalid: the name leads to something that could hold its reader for ever, such as a FIFO. A pipe of the
// shell's
// (/dev/stdin, /dev/fd/63) is let through where it can be read once, from its begin to its end.
Status CheckAuditFile(const std::string& name);

// The files of one log as they were written: `audit.log*` has the newest first.
std::vector<std::string> InOrder(const std::vector<std::string>& names);

// The positional FILEs of the verbs that read an audit log.
void AddAuditFiles(CLI::App* verb, std::vector<std::string>& files);

}  // namespace assertion::cli
