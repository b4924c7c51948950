#pragma once

#include <string>
#include <utility>
#include <vector>

#include "assertion/random.h"
#include "assertion/token.h"
#include "keys/entries_file.h"
#include "keys/kept_ledgers.h"
#include "keys/ledger.h"

namespace assertion {

// The ledgers in one JSON file, {"version":2,"clients":["…",…]}, for HSMs that store no data objects. Each is sealed by
// a key of the token (see Seal): who may write the file, but has no PIN, can only put back what once was there. Before
// there was a seal the file was {"clients":[{…},…]}.
//
// See EntriesFile for how it is written and locked. The emergency brake goes on beside a change of this process, which
// then commits nothing; a lock of another process cannot be broken, so after 1 s it is refused.
class FileLedger final : public Ledger {
 public:
  // `path` is absolute; the file need not exist yet, its folder must. A file that others may write is refused, and so
  // is one that is not of this form: an entry that does not verify is a stray. `token` must outlive the ledger.
  FileLedger(Token& token, std::string path, Random random) : file_(std::move(path)), seal_(token, std::move(random)) {}

  Result<LedgerContents> Read() override;
  Result<std::unique_ptr<Hold>> Take(const std::string& client_id, const Patience& patience = {}) override;
  Result<Takeover> TakeOver() override;

 private:
  class FileHold;

  using Entries = EntriesFile::Entries;

  Result<KeptLedgers> Gather(const Entries& entries);
  Status SealUnsigned(Takeover& done);

  const EntriesFile file_;
  LedgerSeal seal_;
};

}  // namespace assertion
