#include "keys/entries_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "assertion/descriptor.h"
#include "keys/ledger.h"

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

Result<EntriesFile::Entries> EntriesFile::Read() const {
  const auto text = ReadFile(path_);
  if (!text) {
    return std::unexpected(text.error());
  }
  auto entries = *text ? ParseLedgerFile(**text) : Result<Entries>(Entries());
  return entries ? entries : Unusable(path_, entries.error().message);
}

Result<MachineLock> EntriesFile::Lock(const Patience& patience) const {
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

// Written beside it, synced, renamed, and the folder synced: a crash leaves the old text or the new.
Status EntriesFile::Write(const Entries& entries) const {
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
