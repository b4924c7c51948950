#include "cli/assertion/kept_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "cli/command_line.h"
#include "jws/compact.h"
#include "keys/trusted_folder.h"

namespace assertion::cli {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr mode_t kPermissions = 07777;
constexpr std::size_t kEventRoom = 4096;
constexpr std::size_t kLongestLeft = 65536;  // of a file that an earlier run left

std::unexpected<Error> CallFailed(const std::string& path, const char* call) {
  return Fail(Code::kConfigInvalid, "cannot write " + path, std::string(call) + ": " + std::strerror(errno));
}

// Readers open the file by its path, so nobody else may replace a part of that path. A sticky folder is not enough for
// the file itself: the name is free before the first assertion, after the last, and when one has expired, and then
// anybody may take it.
Status CheckPlace(const std::string& path, const std::string& folder) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(folder, error);
  if (error) {
    return Fail(Code::kConfigInvalid, "cannot find the folder of --out " + path, error.message());
  }
  if (const auto trusted = CheckTrustedFolder(absolute); !trusted) {
    if (trusted.error().code == Code::kNotFound) {
      return Fail(Code::kConfigInvalid, "the folder of --out " + path + " is missing: " + trusted.error().message +
                                            "; make it: mkdir -p -m 700 " + QuotedForShell(folder));
    }
    return Fail(Code::kConfigInvalid,
                "others can put another file in the place of --out " + path + ": " + trusted.error().message);
  }
  return {};
}

// A name in a folder; nothing: there is none, or errno has the reason.
std::optional<struct stat> Look(const Descriptor& folder, const std::string& name) {
  struct stat info{};
  return fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 ? std::optional(info) : std::nullopt;
}

bool IsSame(const Descriptor& file, const std::optional<struct stat>& other) {
  struct stat info{};
  return file.get() >= 0 && other && fstat(file.get(), &info) == 0 && info.st_dev == other->st_dev &&
         info.st_ino == other->st_ino;
}

// Opens a regular file to read. Any other could hold who opens it.
Descriptor OpenRegular(const Descriptor& folder, const std::string& name) {
  const auto info = Look(folder, name);
  return Descriptor(info && S_ISREG(info->st_mode)
                        ? openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                        : -1);
}

// Nothing is overwritten but what an earlier run may have left. A person may have mistaken the name.
Status CheckLeft(const std::string& path, const Descriptor& folder, const std::string& name) {
  const auto info = Look(folder, name);
  if (!info && errno == ENOENT) {
    return {};
  }
  const auto file = OpenRegular(folder, name);
  std::string text(kLongestLeft, '\0');
  const auto size =
      file.get() < 0 ? std::nullopt : ReadAll(file.get(), {reinterpret_cast<unsigned char*>(text.data()), text.size()});
  if (size && info->st_uid == geteuid() && (info->st_mode & kPermissions) == kOwnerOnly &&
      (*size == 0 || jws::ParseCompact(std::string_view(text).substr(0, *size)))) {
    return {};
  }
  return Fail(Code::kConfigInvalid, "--out " + path +
                                        " is there already, and is no assertion of mode 0600 that belongs to "
                                        "you: it is not overwritten; remove it or name another file");
}

}  // namespace

Result<KeptFile> KeptFile::In(const std::string& path) {
  KeptFile file;
  const auto slash = path.rfind('/');
  file.path_ = path;
  file.folder_path_ = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  file.name_ = slash == std::string::npos ? path : path.substr(slash + 1);
  if (file.name_.empty() || file.name_ == "." || file.name_ == "..") {
    return Fail(Code::kConfigInvalid, "--out must name a file, not a folder");
  }
  file.inotify_ = Descriptor(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (file.inotify_.get() < 0) {
    return CallFailed(path, "inotify_init1");
  }
  RETURN_IF_ERROR(file.Find());
  RETURN_IF_ERROR(CheckLeft(path, file.folder_, file.name_));
  return file;
}

Status KeptFile::Find() {
  RETURN_IF_ERROR(CheckPlace(path_, folder_path_));
  Descriptor folder(open(folder_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct statfs system{};
  if (folder.get() < 0 || fstatfs(folder.get(), &system) != 0) {
    return Fail(Code::kConfigInvalid, "cannot open the folder of --out " + path_, std::strerror(errno));
  }
  const auto present = Look(folder, name_);
  if (!IsSame(kept_, present)) {
    const auto other = OpenRegular(folder, name_);
    if (other.get() >= 0 && flock(other.get(), LOCK_SH | LOCK_NB) != 0) {
      return Fail(Code::kConfigInvalid, "another assertionctl keeps --out " + path_ + ": name another file");
    }
    Remove();
  }
  folder_ = std::move(folder);
  in_memory_ = system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
  return {};
}

Status KeptFile::Replace(std::string_view text) {
  const auto next = "." + name_ + ".next";
  unlinkat(folder_.get(), next.c_str(), 0);  // left by a run that was killed
  Descriptor out(openat(folder_.get(), next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly));
  if (out.get() < 0) {
    return CallFailed(path_, "openat");
  }
  const auto give_up = [&](const char* call) {
    auto failed = CallFailed(path_, call);
    unlinkat(folder_.get(), next.c_str(), 0);
    return failed;
  };
  if (flock(out.get(), LOCK_EX | LOCK_NB) != 0) {
    return give_up("flock");
  }
  if (fchmod(out.get(), kOwnerOnly) != 0 || !WriteAll(out, text)) {
    return give_up("write");
  }
  if (fsync(out.get()) != 0) {
    return give_up("fsync");
  }
  // The watch is on the inode and set before the name, so that no reader is missed.
  const auto beside = "/proc/self/fd/" + std::to_string(out.get());
  const int watch =
      inotify_add_watch(inotify_.get(), beside.c_str(), IN_OPEN | IN_CLOSE_NOWRITE | IN_ATTRIB | IN_MOVE_SELF);
  if (watch < 0) {
    return give_up("inotify_add_watch");
  }
  if (renameat(folder_.get(), next.c_str(), folder_.get(), name_.c_str()) != 0) {
    return give_up("renameat");
  }
  if (watch_ >= 0) {
    inotify_rm_watch(inotify_.get(), watch_);
  }
  watch_ = watch;
  kept_ = std::move(out);
  fsync(folder_.get());  // not all file systems can; the file itself is whole
  return {};
}

bool KeptFile::IsThere() const {
  struct stat info{};
  return lstat(path_.c_str(), &info) == 0 && IsSame(kept_, info);
}

bool KeptFile::Remove() {
  const bool removed = IsSame(kept_, Look(folder_, name_)) && unlinkat(folder_.get(), name_.c_str(), 0) == 0;
  kept_ = Descriptor();
  return removed;
}

int KeptFile::TakeOpens() {
  int opens = 0;
  alignas(inotify_event) std::array<char, kEventRoom> room{};
  for (ssize_t size = 0; (size = read(inotify_.get(), room.data(), room.size())) > 0;) {
    for (ssize_t at = 0; at < size;) {
      inotify_event event{};
      std::memcpy(&event, room.data() + at, sizeof event);
      opens += event.wd == watch_ && (event.mask & IN_OPEN) != 0 ? 1 : 0;
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
  return opens;
}

}  // namespace assertion::cli
