#include "cli/assertion/kept_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "cli/command_line.h"
#include "keys/trusted_folder.h"

namespace assertion::cli {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr std::size_t kEventRoom = 4096;

std::unexpected<Error> CallFailed(const std::string& path, const char* call) {
  return Fail(Code::kConfigInvalid, "cannot write " + path, std::string(call) + ": " + std::strerror(errno));
}

// Readers open the file by its path, so nobody else may replace a part of that path.
Status CheckPlace(const std::string& path, const std::string& folder) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(folder, error);
  if (error) {
    return Fail(Code::kConfigInvalid, "cannot find the folder of --out " + path, error.message());
  }
  if (const auto trusted = CheckTrustedFolder(absolute, Sticky::kFoldersAndFiles); !trusted) {
    if (trusted.error().code == Code::kNotFound) {
      return Fail(Code::kConfigInvalid, "the folder of --out " + path + " is missing: " + trusted.error().message +
                                            "; make it: mkdir -p -m 700 " + QuotedForShell(folder));
    }
    return Fail(Code::kConfigInvalid,
                "others can put another file in the place of --out " + path + ": " + trusted.error().message);
  }
  return {};
}

}  // namespace

Result<KeptFile> KeptFile::In(const std::string& path) {
  KeptFile file;
  const auto slash = path.rfind('/');
  const auto folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  file.path_ = path;
  file.name_ = slash == std::string::npos ? path : path.substr(slash + 1);
  if (file.name_.empty() || file.name_ == "." || file.name_ == "..") {
    return Fail(Code::kConfigInvalid, "--out must name a file, not a folder");
  }
  RETURN_IF_ERROR(CheckPlace(path, folder));
  file.folder_ = Descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct statfs system{};
  if (file.folder_.get() < 0 || fstatfs(file.folder_.get(), &system) != 0) {
    return Fail(Code::kConfigInvalid, "cannot open the folder of --out " + path, std::strerror(errno));
  }
  file.in_memory_ = system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
  file.inotify_ = Descriptor(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (file.inotify_.get() < 0) {
    return CallFailed(path, "inotify_init1");
  }
  return file;
}

Status KeptFile::Replace(std::string_view text) {
  const auto next = "." + name_ + ".next";
  unlinkat(folder_.get(), next.c_str(), 0);  // left by a run that was killed
  const Descriptor out(
      openat(folder_.get(), next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly));
  if (out.get() < 0) {
    return CallFailed(path_, "openat");
  }
  const auto give_up = [&](const char* call) {
    auto failed = CallFailed(path_, call);
    unlinkat(folder_.get(), next.c_str(), 0);
    return failed;
  };
  struct stat info{};
  if (fchmod(out.get(), kOwnerOnly) != 0 || !WriteAll(out, text)) {
    return give_up("write");
  }
  if (fsync(out.get()) != 0 || fstat(out.get(), &info) != 0) {
    return give_up("fsync");
  }
  // The watch is on the inode and set before the name, so that no reader is missed.
  const auto beside = "/proc/self/fd/" + std::to_string(out.get());
  const int watch = inotify_add_watch(inotify_.get(), beside.c_str(), IN_OPEN | IN_CLOSE_NOWRITE);
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
  device_ = info.st_dev;
  inode_ = info.st_ino;
  fsync(folder_.get());  // not all file systems can; the file itself is whole
  return {};
}

void KeptFile::Remove() {
  struct stat info{};
  if (inode_ != 0 && fstatat(folder_.get(), name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_dev == device_ &&
      info.st_ino == inode_) {
    unlinkat(folder_.get(), name_.c_str(), 0);
  }
  inode_ = 0;
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
