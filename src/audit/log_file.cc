#include "audit/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "audit/verification.h"
#include "x509/lock_holder.h"

namespace assertion::audit {
namespace {

std::unexpected<Error> Unusable(const std::string& what, const std::string& why) {
  return Fail(Code::kAuditUnusable, "the audit log cannot be written", what + ": " + why);
}

std::unexpected<Error> Unusable(const std::string& what) { return Unusable(what, std::strerror(errno)); }

std::unexpected<Error> WrittenByAnother(const std::string& path, const Descriptor& lock) {
  return Fail(Code::kAuditUnusable,
              "the audit log is in use by " + x509::HolderOfLock(lock.get()) +
                  ": if that is assertiond with this configuration, it runs already; each further server needs an "
                  "audit.path and a listen of its own",
              path + ": another process writes it");
}

// Reads at most the last `longest` octets before `end`.
Result<std::string> ReadBefore(int fd, std::uint64_t end, std::size_t longest) {
  std::string text(std::min<std::uint64_t>(end, longest), '\0');
  const auto from = end - text.size();
  std::size_t got = 0;
  while (got < text.size()) {
    const auto count = pread(fd, text.data() + got, text.size() - got, static_cast<off_t>(from + got));
    if (count <= 0) {
      return Unusable("pread");
    }
    got += static_cast<std::size_t>(count);
  }
  return text;
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

Status SyncFolder(const std::string& path) {
  const Descriptor folder(open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder.get() >= 0 && fsync(folder.get()) == 0 ? Status() : Unusable(FolderOf(path));
}

// The file beside `path` with the log's youngest lines, "" when there is none.
Result<std::string> FindYoungest(const std::string& path) {
  std::string youngest;
  std::uint64_t highest = 0;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(FolderOf(path), failed)) {
    std::ifstream file;
    if (!entry.path().string().starts_with(path + ".") || !entry.is_regular_file(failed)) {
      continue;
    }
    file.open(entry.path());
    std::string text(kLongestLine, '\0');
    file.getline(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 1)) - 1);
    if (const auto line = ParseLine(text); line && line->sequence > highest) {
      highest = line->sequence;
      youngest = entry.path();
    }
  }
  if (failed) {
    return Unusable(FolderOf(path), failed.message());
  }
  return youngest;
}

Result<Verification> Check(const std::string& path, const PublicKeys& keys) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return Unusable(path);
  }
  auto found = Verify({{.name = path, .stream = &stream}}, keys, {.first = 0, .last = 0});
  if (found.fault && found.fault->kind == Tampering::kSignedByAnother) {
    return Fail(Code::kAuditUnusable,
                "the audit log is signed by a key that is not on the token of audit.hsm, so it cannot be continued: "
                "start with the token that holds that key; only if it is gone for good, keep all files of the log "
                "elsewhere and start a new one, which forgets the ledger versions that were seen",
                path + ":" + std::to_string(found.fault->line) + ": " + found.fault->text);
  }
  if (found.fault) {
    return Fail(Code::kAuditUnusable,
                "the audit log was changed by others: keep it as evidence, and move all its files elsewhere to start",
                path + ":" + std::to_string(found.fault->line) + ": " + found.fault->text);
  }
  return found;
}

// Appends the ledger versions of a verified file. False: its first line promises more of them, so a crash interrupted
// the file's begin.
bool AddLedgerVersions(const std::string& path, std::vector<LedgerVersion>& versions) {
  std::ifstream file(path, std::ios::binary);
  std::size_t promised = 0;
  std::size_t count = 0;
  std::string text;
  for (bool first = true; std::getline(file, text); first = false) {
    if (!first && text.find(kLedgerVersion) == std::string::npos) {
      continue;
    }
    const auto line = ParseLine(text);
    const auto member = [&](const char* name) { return line->members.value(name, nlohmann::json()); };
    if (line && first && member("ledgers").is_number_unsigned()) {
      promised = member("ledgers").get<std::size_t>();
    }
    if (line && line->event == kLedgerVersion && member("hsm").is_string() && member("serial").is_string() &&
        member("client_id").is_string() && member("version").is_number_integer() && member("hash").is_string()) {
      ++count;
      versions.push_back({.hsm = member("hsm").get<std::string>(),
                          .serial = member("serial").get<std::string>(),
                          .client_id = member("client_id").get<std::string>(),
                          .version = member("version").get<std::int64_t>(),
                          .hash = member("hash").get<std::string>()});
    }
  }
  return count >= promised;
}

}  // namespace

Result<std::vector<LedgerVersion>> ReadLedgerVersions(const std::string& path) {
  std::vector<LedgerVersion> versions;
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (status.type() == std::filesystem::file_type::not_found) {
    return versions;
  }
  if (!std::filesystem::is_regular_file(status) || access(path.c_str(), R_OK) != 0) {
    return Fail(Code::kAuditUnusable, "the audit log " + path + " cannot be read",
                std::filesystem::is_regular_file(status) ? std::strerror(errno) : "it is no regular file");
  }
  AddLedgerVersions(path, versions);
  return versions;
}

std::string RotatedName(const std::string& path, std::uint64_t first_sequence) {
  std::array<char, 24> digits{};
  std::snprintf(digits.data(), digits.size(), ".%020llu", static_cast<unsigned long long>(first_sequence));
  return path + digits.data();
}

Status CheckUnsigned(const std::string& path) {
  std::error_code failed;
  const auto size = std::filesystem::is_regular_file(path, failed) ? std::filesystem::file_size(path, failed) : 0;
  ASSIGN_OR_RETURN(const auto source, size > 0 ? Result<std::string>(path) : FindYoungest(path));
  if (!source.empty()) {
    RETURN_IF_ERROR(Check(source, {}));
  }
  return {};
}

Result<LogFile> LogFile::Open(const std::string& path, const PublicKeys& keys, Found& found) {
  const auto lock_path = path + ".lock";
  Descriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.get() < 0) {
    return Unusable(lock_path);
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? WrittenByAnother(path, lock) : Unusable(lock_path);
  }
  LogFile log(path, std::move(lock));
  RETURN_IF_ERROR(log.OpenFile());
  RETURN_IF_ERROR(log.CutTorn(found.torn));
  const auto source = log.size_ > 0 ? Result<std::string>(path) : FindYoungest(path);
  if (!source) {
    return std::unexpected(source.error());
  }
  found.head = Genesis();
  if (!source->empty()) {
    ASSIGN_OR_RETURN(const auto checked, Check(*source, keys));
    found.head = checked.head;
    if (!AddLedgerVersions(*source, found.ledger_versions)) {
      ASSIGN_OR_RETURN(const auto before, FindYoungest(path));
      AddLedgerVersions(before, found.ledger_versions);
    }
    found.kid = checked.kid;
    found.unproven = checked.last - (checked.proven != 0 ? checked.proven : checked.first - 1);
    log.first_sequence_ = checked.first;
    // A crash within Rename left the file two names, and its lines would count twice.
    if (const auto second = RotatedName(path, checked.first); log.IsAt(second) && unlink(second.c_str()) != 0) {
      return Unusable(second);
    }
  }
  return log;
}

Status LogFile::OpenFile() {
  Descriptor file(open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  struct stat info{};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) {
    return Unusable(path_);
  }
  if (!S_ISREG(info.st_mode) || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
      (info.st_uid != geteuid() && info.st_uid != 0)) {
    return Unusable(path_, "must be a file that no other user may write: chmod 640, chown");
  }
  if (auto synced = SyncFolder(path_); !synced) {
    return synced;
  }
  file_ = std::move(file);
  size_ = static_cast<std::uint64_t>(info.st_size);
  broken_ = false;
  return {};
}

// A torn line can be dropped: its caller was never answered, so nothing was released for it.
Status LogFile::CutTorn(std::size_t& octets) {
  ASSIGN_OR_RETURN(const auto tail, ReadBefore(file_.get(), size_, kLongestLine * 2));
  octets = tail.size() - (tail.rfind('\n') + 1);
  if (octets == 0) {
    return {};
  }
  if (octets == tail.size() && size_ > octets) {
    return Unusable(path_, "its last line has no end and is longer than any of a log");
  }
  const auto torn_path = path_ + ".torn";
  const Descriptor torn(open(torn_path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (torn.get() < 0 || !WriteAll(torn, tail.substr(tail.size() - octets) + "\n") || fsync(torn.get()) != 0) {
    return Unusable(torn_path);
  }
  size_ -= octets;
  return ftruncate(file_.get(), static_cast<off_t>(size_)) == 0 && fdatasync(file_.get()) == 0 ? Status()
                                                                                               : Unusable(path_);
}

// After a failed write a part of the lines may be in the file. After a failed fdatasync the kernel may have dropped
// earlier lines that it had accepted.
Status LogFile::Repair() {
  if (ftruncate(file_.get(), static_cast<off_t>(size_)) != 0 || fdatasync(file_.get()) != 0) {
    return Unusable(path_);
  }
  const auto tail = ReadBefore(file_.get(), size_, last_.size());
  if (!tail || *tail != last_) {
    return tail ? Unusable(path_, "its last line was lost") : std::unexpected(tail.error());
  }
  broken_ = false;
  return {};
}

Status LogFile::Append(std::string_view lines) {
  struct stat info{};
  if (fstat(file_.get(), &info) != 0 || info.st_nlink == 0) {
    return Unusable(path_, "was removed while it was written; SIGHUP begins another");
  }
  if (static_cast<std::uint64_t>(info.st_size) < size_ ||
      (!broken_ && static_cast<std::uint64_t>(info.st_size) > size_)) {
    return Unusable(path_, "was changed by others: move it away, keep it, and send SIGHUP");
  }
  if (broken_) {
    if (auto repaired = Repair(); !repaired) {
      return repaired;
    }
  }
  if (!WriteAll(file_, lines) || fdatasync(file_.get()) != 0) {
    const auto failed = Unusable(path_);
    broken_ = true;
    // At once, so that no reader sees lines that were not accepted; Repair finds out whether it worked.
    static_cast<void>(!ftruncate(file_.get(), static_cast<off_t>(size_)));
    return failed;
  }
  if (size_ == 0) {
    const auto first = ParseLine(lines.substr(0, lines.find('\n')));
    first_sequence_ = first ? first->sequence : 0;
  }
  size_ += lines.size();
  const auto before_last = lines.size() < 2 ? std::string_view::npos : lines.rfind('\n', lines.size() - 2);
  last_ = lines.substr(before_last == std::string_view::npos ? 0 : before_last + 1);
  return {};
}

bool LogFile::IsAt(const std::string& name) const {
  struct stat here{};
  struct stat named{};
  return fstat(file_.get(), &here) == 0 && stat(name.c_str(), &named) == 0 && here.st_ino == named.st_ino &&
         here.st_dev == named.st_dev;
}

Status LogFile::Rename(const std::string& name) {
  if (renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) == 0) {
    return {};
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return Unusable(name);
  }
  if (link(path_.c_str(), name.c_str()) != 0) {
    if (const auto failed = Unusable(name); !IsAt(name)) {  // else NFS made it twice, because the first answer was lost
      return failed;
    }
  }
  if (unlink(path_.c_str()) != 0 && errno != ENOENT) {
    const auto failed = Unusable(path_);
    unlink(name.c_str());
    return failed;
  }
  return {};
}

Status LogFile::Rotate() {
  if (!IsElsewhere()) {
    RETURN_IF_ERROR(Rename(RotatedName(path_, first_sequence_)));
  }
  return OpenFile();
}

}  // namespace assertion::audit
