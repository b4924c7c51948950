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

// The files that these names lead to. For a folder: its audit.log and the rotated files beside it. kConfigInvalid: a
// folder cannot be listed or has none, or a name is a pattern that the shell matched with nothing; kWhereTheLogIs
// helps.
Result<std::vector<std::string>> FilesNamed(const std::vector<std::string>& names);

inline constexpr const char* kWhereTheLogIs =
    "name the folder of the log, for example /var/lib/assertiond, as root or as the server's user, who may list it";

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

// The file that the log went on in when this one was rotated; the same for one that was not.
std::string CurrentName(const std::string& file);

// The positional FILEs of the verbs that read an audit log.
void AddAuditFiles(CLI::App* verb, std::vector<std::string>& files);

}  // namespace assertion::cli
