#include "keys/file_ledger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "assertion/descriptor.h"
#include "keys/machine_lock.h"

namespace assertion {
namespace {

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
  FileHold(FileLedger& owner, MachineLock lock, const Ledgers& all, const std::string& client_id)
      : owner_(owner), lock_(std::move(lock)) {
    if (const auto found = all.find(client_id); found != all.end()) {
      current_ = found->second;
    }
    current_.client_id = client_id;
  }

  const ClientLedger& current() const override { return current_; }

  Status Commit(const ClientLedger& next) override {
    static std::mutex writing;  // the lock keeps other processes away, and not this one's brake
    const std::lock_guard alone(writing);
    auto all = owner_.Read();
    if (!all) {
      return std::unexpected(all.error());
    }
    if (const auto found = all->find(next.client_id);
        (found == all->end() ? 0 : found->second.version) != current_.version) {
      return Fail(Code::kAborted, "the emergency brake came in between for client '" + next.client_id +
                                      "': read its keys again and decide again");
    }
    all->insert_or_assign(next.client_id, next);
    return owner_.Write(*all);
  }

 private:
  FileLedger& owner_;
  const MachineLock lock_;
  ClientLedger current_;
};

Result<Ledgers> FileLedger::Read() {
  const auto text = ReadFile(path_);
  if (!text) {
    return std::unexpected(text.error());
  }
  if (!*text) {
    return Ledgers();
  }
  auto ledgers = ParseLedgers(**text);
  return ledgers ? ledgers : Unusable(path_, ledgers.error().message);
}

Result<std::unique_ptr<Ledger::Hold>> FileLedger::Take(const std::string& client_id, const Patience& patience) {
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
  auto all = Read();
  if (!all) {
    return std::unexpected(all.error());
  }
  return std::make_unique<FileHold>(*this, std::move(*lock), *all, client_id);
}

// Written beside it, synced, renamed, and the folder synced: a crash leaves the old text or the new.
Status FileLedger::Write(const Ledgers& ledgers) const {
  const auto draft_path = path_ + ".new";
  const auto folder_path = path_.substr(0, path_.rfind('/') + 1);
  const Descriptor draft(open(draft_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (draft.get() < 0) {
    return Unusable(draft_path, std::strerror(errno));
  }
  if (!WriteAll(draft, ToJson(ledgers)) || fsync(draft.get()) != 0 || rename(draft_path.c_str(), path_.c_str()) != 0) {
    return Unusable(draft_path, std::strerror(errno));
  }
  const Descriptor folder(open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) {
    return Unusable(folder_path, std::strerror(errno));
  }
  return {};
}

}  // namespace assertion
