#pragma once

#include <string>
#include <utility>
#include <vector>

#include "assertion/error.h"
#include "keys/machine_lock.h"
#include "keys/patience.h"

namespace assertion {

// Sealed entries in one JSON file, {"version":2,"clients":["…",…]}, for HSMs that store no data objects: ledgers in one
// file, pending changes in another. It is written beside it, synced and renamed over it, under a lock on PATH.lock: the
// file must be on a file system that all replicas share and that keeps such locks (flock), in a folder that others may
// not write. A file that others may write is refused.
class EntriesFile {
 public:
  // An entry as written in the file: a JWS, or the JSON of an unsigned ledger.
  using Entries = std::vector<std::string>;

  // `path` is absolute; the file need not exist yet, its folder must.
  explicit EntriesFile(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }

  // Empty when there is no file. kLedgerUnusable.
  Result<Entries> Read() const;

  // Needs the lock.
  Status Write(const Entries& entries) const;

  // Keeps other processes away. As MachineLock::Take; kLedgerUnusable.
  Result<MachineLock> Lock(const Patience& patience = {}) const;

 private:
  const std::string path_;
};

}  // namespace assertion
