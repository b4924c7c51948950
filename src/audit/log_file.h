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

// The name that the file of the log at `path` gets when another takes its place. `first_sequence`: of its first line.
std::string RotatedName(const std::string& path, std::uint64_t first_sequence);

// The ledger versions that the current file of the log at `path` tells, the oldest line first, not verified. Empty:
// there is no file. kAuditUnusable: it cannot be read, or is no regular file.
Result<std::vector<LedgerVersion>> ReadLedgerVersions(const std::string& path);

// kAuditUnusable: the log at `path` is signed already, or was changed: it can be continued by the key that signed it
// alone, and another is of no use.
Status CheckUnsigned(const std::string& path);

// The current file of a log. Lines that Append accepted are on the disk; lines that it refused are not in the file.
// Files have mode 0640, so that a group may read them; a file that others may write is refused. One process writes it.
class LogFile {
 public:
  // The state of the log when it was opened.
  struct Found {
    Head head;                                   // the last line's
    std::string kid;                             // of the key that signed the last checkpoint; empty: unknown
    std::uint64_t unproven = 0;                  // lines that no checkpoint proves
    std::size_t torn = 0;                        // octets of an unfinished last line, moved to "PATH.torn"
    std::vector<LedgerVersion> ledger_versions;  // all, the oldest line first
  };

  // Continues the log at `path`; without a file there, the youngest of the files named "PATH.…"; else begins a log.
  // kAuditUnusable: it cannot be read or written, another process writes it, it was changed, or none of `keys` signed
  // it.
  static Result<LogFile> Open(const std::string& path, const PublicKeys& keys, Found& found);

  // Writes all lines or none. After an error, the next call repairs the file first.
  Status Append(std::string_view lines);

  std::uint64_t size() const { return size_; }

  // True when the file was moved or removed.
  bool IsElsewhere() const { return !IsAt(path_); }

  // Renames the file to "PATH.FIRST" (its first sequence in 20 digits) unless it was moved already, and begins a new
  // one. After an error the log continues in the old file, under its old name or the new one.
  Status Rotate();

 private:
  LogFile(std::string path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  // Opens or creates the file at `path_`, and makes its name durable.
  Status OpenFile();
  // Moves an unfinished last line to "PATH.torn".
  Status CutTorn(std::size_t& octets);
  Status Repair();
  // Gives the file another name that nothing has. NFS, CephFS, Gluster and 9p refuse RENAME_NOREPLACE: by a link.
  Status Rename(const std::string& name);
  bool IsAt(const std::string& name) const;

  std::string path_;
  Descriptor lock_;  // of "PATH.lock"
  Descriptor file_;
  std::uint64_t size_ = 0;  // durable octets
  std::string last_;        // the last line of the last Append
  std::uint64_t first_sequence_ = 0;
  bool broken_ = false;
};

}  // namespace assertion::audit
