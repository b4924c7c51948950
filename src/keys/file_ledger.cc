#include "keys/file_ledger.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "assertion/descriptor.h"

namespace assertion {
namespace {

constexpr std::chrono::seconds kLongestWait{10};
constexpr std::chrono::milliseconds kPause{20};
constexpr off_t kMaxFileSize = off_t{16} << 20U;

std::unexpected<Error> Unusable(const std::string& what, const std::string& why) {
  return Fail(Code::kLedgerUnusable, "the ledger file cannot be used", what + ": " + why);
}

// The file's text; nothing when there is no file.
Result<std::optional<std::string>> ReadFile(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
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
  // `versions`: of the client, among the entries.
  FileHold(FileLedger& owner, Descriptor lock, Entries entries, const std::vector<KeptLedgers::Version>& versions,
           const std::string& client_id)
      : owner_(owner), lock_(std::move(lock)), entries_(std::move(entries)) {
    if (!versions.empty()) {
      current_ = *versions.front().ledger;
    }
    current_.client_id = client_id;
    for (const auto& version : versions) {
      own_.insert(version.place);
    }
  }

  const ClientLedger& current() const override { return current_; }

  // What is not this client's stays as it is, whatever it is.
  Status Commit(const ClientLedger& next) override {
    auto text = owner_.seal_.Write(next);
    if (!text) {
      return std::unexpected(text.error());
    }
    Entries after;
    for (std::size_t place = 0; place < entries_.size(); ++place) {
      if (!own_.contains(place)) {
        after.push_back(entries_[place]);
      }
    }
    after.push_back(std::move(*text));
    return owner_.Write(after);
  }

 private:
  FileLedger& owner_;
  const Descriptor lock_;  // closing it lets go
  const Entries entries_;
  std::set<std::size_t> own_;
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
    auto judged = seal_.Judge(entries[place]);
    if (!judged) {
      return std::unexpected(judged.error());
    }
    if (judged->ledger || judged->error) {
      kept.Add(place, "", std::move(*judged));
    } else {
      kept.AddStray("entry " + std::to_string(place + 1), judged->reason);
    }
  }
  return kept;
}

Result<LedgerContents> FileLedger::Read() {
  const auto entries = ReadEntries();
  const auto kept = entries ? Gather(*entries) : std::unexpected(entries.error());
  if (!kept) {
    return std::unexpected(kept.error());
  }
  seal_.EndRound();
  return kept->Contents();
}

Result<Descriptor> FileLedger::Lock() const {
  const auto lock_path = path_ + ".lock";
  Descriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.get() < 0) {
    return Unusable(lock_path, std::strerror(errno));
  }
  const auto deadline = std::chrono::steady_clock::now() + kLongestWait;
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return Fail(Code::kAborted, "another administrator is changing keys: read them again and decide again");
    }
    std::this_thread::sleep_for(kPause);
  }
  return lock;
}

Result<std::unique_ptr<Ledger::Hold>> FileLedger::Take(const std::string& client_id) {
  if (const auto settled = TakeOver(); !settled) {
    return std::unexpected(settled.error());
  }
  auto lock = Lock();
  auto entries = lock ? ReadEntries() : std::unexpected(lock.error());
  const auto kept = entries ? Gather(*entries) : std::unexpected(entries.error());
  const auto versions = kept ? kept->VersionsOf(client_id) : std::unexpected(kept.error());
  if (!versions) {
    return std::unexpected(versions.error());
  }
  return std::make_unique<FileHold>(*this, std::move(*lock), std::move(*entries), *versions, client_id);
}

// The file changes as a whole: all ledgers are sealed, or none.
Status FileLedger::SealUnsigned(Takeover& done) {
  const auto lock = Lock();
  auto entries = lock ? ReadEntries() : std::unexpected(lock.error());
  const auto kept = entries ? Gather(*entries) : std::unexpected(entries.error());
  if (!kept) {
    return std::unexpected(kept.error());
  }
  for (const auto& client_id : kept->clients()) {
    const auto versions = kept->VersionsOf(client_id);
    if (!versions) {
      done.left.emplace(client_id, versions.error());
      continue;
    }
    const auto& newest = versions->front();
    if (!newest.sealed()) {
      auto text = seal_.Write(*newest.ledger);
      if (!text) {
        return std::unexpected(text.error());
      }
      (*entries)[newest.place] = std::move(*text);
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
