#include "keys/file_ledger.h"

#include <algorithm>
#include <utility>

#include "assertion/mutex.h"
#include "keys/machine_lock.h"

namespace assertion {

class FileLedger::FileHold final : public Ledger::Hold {
 public:
  FileHold(FileLedger& owner, MachineLock lock, const std::vector<KeptLedgers::Version>& versions,
           const std::string& client_id)
      : owner_(owner), lock_(std::move(lock)) {
    if (!versions.empty()) {
      current_ = *versions.front().ledger;
    }
    current_.client_id = client_id;
  }

  const ClientLedger& current() const override { return current_; }

  // Everything in the file that is not this client's stays unchanged.
  Status Commit(const ClientLedger& next) override {
    static Mutex writing;  // the lock keeps other processes away, and not this one's brake
    const MutexLock alone(writing);
    const auto entries = owner_.file_.Read();
    const auto kept = entries ? owner_.Gather(*entries) : std::unexpected(entries.error());
    ASSIGN_OR_RETURN(const auto versions, kept ? kept->VersionsOf(next.client_id) : std::unexpected(kept.error()));
    if ((versions.empty() ? 0 : versions.front().ledger->version) != current_.version) {
      return Fail(Code::kAborted, "the emergency brake came in between for client '" + next.client_id +
                                      "': read its keys again and decide again");
    }
    ASSIGN_OR_RETURN(auto text, owner_.seal_.Write(next));
    Entries after;
    for (std::size_t place = 0; place < entries->size(); ++place) {
      if (std::ranges::find(versions, place, &KeptLedgers::Version::place) == versions.end()) {
        after.push_back((*entries)[place]);
      }
    }
    after.push_back(std::move(text));
    return owner_.file_.Write(after);
  }

 private:
  FileLedger& owner_;
  const MachineLock lock_;
  ClientLedger current_;
};

Result<KeptLedgers> FileLedger::Gather(const Entries& entries) {
  KeptLedgers kept;
  for (std::size_t place = 0; place < entries.size(); ++place) {
    ASSIGN_OR_RETURN(auto judged, seal_.Judge(entries[place]));
    if (judged.ledger || judged.error) {
      kept.Add(place, "", std::move(judged));
    } else {
      kept.AddStray("entry " + std::to_string(place + 1), judged.reason);
    }
  }
  return kept;
}

Result<LedgerContents> FileLedger::Read() {
  const auto entries = file_.Read();
  ASSIGN_OR_RETURN(const auto kept, entries ? Gather(*entries) : std::unexpected(entries.error()));
  seal_.EndRound();
  return kept.Contents();
}

Result<std::unique_ptr<Ledger::Hold>> FileLedger::Take(const std::string& client_id, const Patience& patience) {
  RETURN_IF_ERROR(TakeOver());
  auto lock = file_.Lock(patience);
  const auto entries = lock ? file_.Read() : std::unexpected(lock.error());
  const auto kept = entries ? Gather(*entries) : std::unexpected(entries.error());
  ASSIGN_OR_RETURN(const auto versions, kept ? kept->VersionsOf(client_id) : std::unexpected(kept.error()));
  return std::make_unique<FileHold>(*this, std::move(*lock), versions, client_id);
}

// The file changes as a whole: all ledgers are sealed, or none.
Status FileLedger::SealUnsigned(Takeover& done) {
  const auto lock = file_.Lock();
  auto entries = lock ? file_.Read() : std::unexpected(lock.error());
  ASSIGN_OR_RETURN(const auto kept, entries ? Gather(*entries) : std::unexpected(entries.error()));
  for (const auto& client_id : kept.clients()) {
    const auto versions = kept.VersionsOf(client_id);
    if (!versions) {
      done.left.emplace(client_id, versions.error());
      continue;
    }
    const auto& newest = versions->front();
    if (!newest.sealed()) {
      ASSIGN_OR_RETURN(auto text, seal_.Write(*newest.ledger));
      (*entries)[newest.place] = std::move(text);
      done.clients.push_back(client_id);
    }
  }
  return done.clients.empty() ? Status() : file_.Write(*entries);
}

Result<Ledger::Takeover> FileLedger::TakeOver() {
  return seal_.TakeOver([this] { return Read(); }, [this](Takeover& done) { return SealUnsigned(done); });
}

}  // namespace assertion
