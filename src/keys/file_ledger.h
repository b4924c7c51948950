#pragma once

#include <string>

#include "keys/ledger.h"

namespace assertion {

// The ledgers in one JSON file, {"clients":[…]}, for HSMs that store no data objects. A change is written beside it,
// synced and renamed over it, under a lock on PATH.lock: the file must be on a file system that all replicas share and
// that keeps such locks (flock), in a folder that others may not write. The emergency brake goes on beside a change of
// this process, which then commits nothing; a lock of another process cannot be broken, so after 1 s it is refused.
class FileLedger final : public Ledger {
 public:
  // `path` is absolute; the file need not exist yet, its folder must. A file that others may write is refused.
  explicit FileLedger(std::string path) : path_(std::move(path)) {}

  Result<Ledgers> Read() override;
  Result<std::unique_ptr<Hold>> Take(const std::string& client_id, const Patience& patience = {}) override;

 private:
  class FileHold;

  Status Write(const Ledgers& ledgers) const;

  const std::string path_;
};

}  // namespace assertion
