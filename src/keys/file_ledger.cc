#include "keys/file_ledger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "assertion/descriptor.h"
#include "assertion/mutex.h"
#include "keys/machine_lock.h"

namespace assertion {
namespace {

constexpr off_t kMaxFileSize = off_t{16} << 20U;

std::unexpected<Error> Unusable(const std::string& what, const std::string& why) {
  return Fail(Code::kLedgerUnusable, "the ledger file cannot be used", what + ": " + why);
}

// The file's text; nothing when there is no file.
Result<std::optional<std::string>> ReadFile(const std::string& path) {
  const Descriptor file(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));  // a FIFO is not waited for
  if (file.get() < 0) {
    if (errno == ENOENT) {
      return std::nullopt;
    }
    return Unusable(path, std::strerror(errno));
  }
  struct stat info{};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Unusable(path, "is not a file");
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Unusable(path, "others may write it: chmod 600");
  }
  if (info.st_size > kMaxFileSize) {
    return Unusable(path, "is larger than 16 MiB");
  }
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const auto count = read(file.get(), text.data() + got, text.size() - got);
    if (count <= 0) {
      return Unusable(path, count == 0 ? "became shorter" : std::strerror(errno));
    }
    got += static_cast<std::size_t>(count);
  }
  return text;
}

}  // namespace

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

  // What is not this client's stays as it is, whatever it is.
  Status Commit(const ClientLedger& next) override {
    static Mutex writing;  // the lock keeps other processes away, and not this one's brake
    const MutexLock alone(writing);
    const auto entries = owner_.ReadEntries();
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
    return owner_.Write(after);
  }

 private:
  FileLedger& owner_;
  const MachineLock lock_;
  ClientLedger current_;
};

Result<FileLedger::Entries> FileLedger::ReadEntries() const {
  const auto text = ReadFile(path_);
  if (!text) {
    return std::unexpected(text.error());
  }
  auto entries = *text ? ParseLedgerFile(**text) : Result<Entries>(Entries());
  return entries ? entries : Unusable(path_, entries.error().message);
}

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
  const auto entries = ReadEntries();
  ASSIGN_OR_RETURN(const auto kept, entries ? Gather(*entries) : std::unexpected(entries.error()));
  seal_.EndRound();
  return kept.Contents();
}

Result<MachineLock> FileLedger::Lock(const Patience& patience) const {
  const auto slash = path_.rfind('/');
  auto lock = MachineLock::Take(path_.substr(0, slash), path_.substr(slash + 1) + ".lock", patience);
  if (!lock && lock.error().code == Code::kConfigInvalid) {
    return Unusable(path_ + ".lock", lock.error().message);
  }
  if (!lock) {
    if (patience.takes_over) {
      lock.error().message =
          "another process holds the ledger file's lock for longer than 1 s, and a file's lock cannot "
          "be broken: end that process, then try again";
    }
    return std::unexpected(lock.error());
  }
  return lock;
}

Result<std::unique_ptr<Ledger::Hold>> FileLedger::Take(const std::string& client_id, const Patience& patience) {
  RETURN_IF_ERROR(TakeOver());
  auto lock = Lock(patience);
  const auto entries = lock ? ReadEntries() : std::unexpected(lock.error());
  const auto kept = entries ? Gather(*entries) : std::unexpected(entries.error());
  ASSIGN_OR_RETURN(const auto versions, kept ? kept->VersionsOf(client_id) : std::unexpected(kept.error()));
  return std::make_unique<FileHold>(*this, std::move(*lock), versions, client_id);
}

// The file changes as a whole: all ledgers are sealed, or none.
Status FileLedger::SealUnsigned(Takeover& done) {
  const auto lock = Lock({});
  auto entries = lock ? ReadEntries() : std::unexpected(lock.error());
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
  return done.clients.empty() ? Status() : Write(*entries);
}

Result<Ledger::Takeover> FileLedger::TakeOver() {
  return seal_.TakeOver([this] { return Read(); }, [this](Takeover& done) { return SealUnsigned(done); });
}

// Written beside it, synced, renamed, and the folder synced: a crash leaves the old text or the new.
Status FileLedger::Write(const Entries& entries) const {
  const auto draft_path = path_ + ".new";
  const auto folder_path = path_.substr(0, path_.rfind('/') + 1);
  const Descriptor draft(open(draft_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (draft.get() < 0) {
    return Unusable(draft_path, std::strerror(errno));
  }
  if (!WriteAll(draft, LedgerFileOf(entries)) || fsync(draft.get()) != 0 ||
      rename(draft_path.c_str(), path_.c_str()) != 0) {
    return Unusable(draft_path, std::strerror(errno));
  }
  const Descriptor folder(open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) {
    return Unusable(folder_path, std::strerror(errno));
  }
  return {};
}

}  // namespace assertion
