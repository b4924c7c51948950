#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/descriptor.h"
#include "assertion/error.h"
#include "audit/checkpoint.h"
#include "audit/ledger_version.h"
#include "audit/line.h"

namespace assertion::audit {

// The file that a log is written to now. What Append took is on the disk; what it refused is not in the file. Files
// have mode 0640, so that a group may read them; a file that others may write is refused. One process writes it.
class LogFile {
 public:
  // How a log was found.
  struct Found {
    Head head;                                   // the last line's
    std::uint64_t unproven = 0;                  // lines that no checkpoint proves
    std::size_t torn = 0;                        // octets of an unfinished last line, which now stand in "PATH.torn"
    std::vector<LedgerVersion> ledger_versions;  // all, the oldest line first
  };

  // Goes on with the log at `path`, or with the youngest of the files beside it named "PATH.…" when there is none at
  // `path`, or begins one. kAuditUnusable: it cannot be read or written, another process writes it, or it was changed.
  static Result<LogFile> Open(const std::string& path, const PublicKeys& keys, Found& found);

  // All of it or nothing. After an error the file is mended before it takes more.
  Status Append(std::string_view lines);

  std::uint64_t size() const { return size_; }

  // Whether somebody moved or removed it.
  bool IsElsewhere() const;

  // Renames it to "PATH.FIRST", its first sequence in 20 digits, unless it was moved already, and begins a new one.
  Status Rotate();

 private:
  LogFile(std::string path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  // Opens or makes the file at `path_`, and makes its name durable.
  Status OpenFile();
  // Puts an unfinished last line aside.
  Status CutTorn(std::size_t& octets);
  Status Mend();

  std::string path_;
  Descriptor lock_;  // of "PATH.lock"
  Descriptor file_;
  std::uint64_t size_ = 0;  // of what is durable
  std::string last_;        // the last line of the last Append
  std::uint64_t first_sequence_ = 0;
  bool broken_ = false;
};

}  // namespace assertion::audit
