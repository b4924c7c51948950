#include "keys/machine_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "assertion/bytes.h"
#include "assertion/mutex.h"
#include "jws/thumbprint.h"

namespace assertion {
namespace {

constexpr std::chrono::milliseconds kPause{5};
constexpr mode_t kOwnersFolder = 0700;
constexpr mode_t kOwnersFile = 0600;
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// What this process holds now, by path: flock(2) itself tells processes apart, and not who shares within one.
struct Held {
  Mutex mutex;
  std::map<std::string, std::weak_ptr<const Descriptor>> files GUARDED_BY(mutex);
};

Held& HeldByThisProcess() {
  static Held held;
  return held;
}

std::unexpected<Error> LockUnusable(const std::string& path, const std::string& why) {
  return Fail(Code::kConfigInvalid, path + " cannot be used: " + why);
}

bool IsOwnOrRoots(uid_t owner) { return owner == geteuid() || owner == 0 || geteuid() == 0; }

// Root's tools leave what the service's user can use: what root makes in another's folder becomes that one's.
bool HandOver(int made, const struct stat& parent) {
  return geteuid() != 0 || parent.st_uid == 0 || fchown(made, parent.st_uid, parent.st_gid) == 0;
}

struct Folder {
  Descriptor descriptor;
  struct stat info{};
};

// Makes the folder when it is not there.
Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), kOwnersFolder) != 0) {
    return errno == EEXIST ? Status() : LockUnusable(path, std::string("mkdir: ") + std::strerror(errno));
  }
  const Descriptor made(open(path.c_str(), kFolderFlags));
  struct stat parent{};
  return made.get() >= 0 && fstatat(made.get(), "..", &parent, 0) == 0 && HandOver(made.get(), parent)
             ? Status()
             : LockUnusable(path, std::strerror(errno));
}

Result<Folder> OpenFolder(const std::string& path) {
  Folder folder;
  folder.descriptor = Descriptor(open(path.c_str(), kFolderFlags));
  if (folder.descriptor.get() < 0 || fstat(folder.descriptor.get(), &folder.info) != 0) {
    return LockUnusable(path, std::string(std::strerror(errno)) + "; it must be a folder of the service's own");
  }
  if (!IsOwnOrRoots(folder.info.st_uid)) {
    return LockUnusable(path,
                        "it belongs to uid " + std::to_string(folder.info.st_uid) + ": chown it to the service's user");
  }
  if ((folder.info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return LockUnusable(path, "its group or others may write it: chmod 700 " + path);
  }
  return folder;
}

Result<Descriptor> OpenFile(const Folder& folder, const std::string& path, const std::string& name) {
  constexpr int kFlags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int at = folder.descriptor.get();
  Descriptor file(openat(at, name.c_str(), kFlags | O_CREAT | O_EXCL, kOwnersFile));
  if (file.get() >= 0 && !HandOver(file.get(), folder.info)) {
    return LockUnusable(path, std::strerror(errno));
  }
  if (file.get() < 0 && errno == EEXIST) {
    file = Descriptor(openat(at, name.c_str(), kFlags));
  }
  struct stat info{};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) {
    return LockUnusable(path, std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    return LockUnusable(path, "it is not a regular file: remove it");
  }
  if (!IsOwnOrRoots(info.st_uid) || (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return LockUnusable(path,
                        "others may open it, and so hold it: chown it to the service's user and chmod 600 " + path);
  }
  return file;
}

// True if the folder still has this file under that name: one that was removed meanwhile locks nobody out.
bool IsStill(const Folder& folder, const Descriptor& file, const std::string& name) {
  struct stat here{};
  struct stat there{};
  return fstat(file.get(), &here) == 0 &&
         fstatat(folder.descriptor.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

}  // namespace

Result<MachineLock> MachineLock::Take(const std::string& folder_path, const std::string& name,
                                      const Patience& patience) {
  const auto path = folder_path + "/" + name;
  const auto deadline = std::chrono::steady_clock::now() + patience.longest;
  const auto folder = OpenFolder(folder_path);
  auto file = folder ? OpenFile(*folder, path, name) : std::unexpected(folder.error());
  if (!file) {
    return std::unexpected(file.error());
  }
  auto& held = HeldByThisProcess();
  while (true) {
    {
      const MutexLock lock(held.mutex);
      auto& slot = held.files[path];
      auto own = slot.lock();
      if (own && patience.takes_over) {
        return MachineLock(std::move(own));
      }
      if (!own && flock(file->get(), LOCK_EX | LOCK_NB) == 0) {
        if (IsStill(*folder, *file, name)) {
          own = std::make_shared<const Descriptor>(std::move(*file));
          slot = own;
          return MachineLock(std::move(own));
        }
        file = OpenFile(*folder, path, name);
        if (!file) {
          return std::unexpected(file.error());
        }
      } else if (!own && errno != EWOULDBLOCK && errno != EINTR) {
        return LockUnusable(path, std::string("flock: ") + std::strerror(errno));
      }
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return Fail(Code::kAborted, "another administrator is changing keys: read them again and decide again",
                  "flock: " + path + " is held");
    }
    std::this_thread::sleep_for(kPause);
  }
}

Result<MachineLock> MachineLock::TakeFor(const Token& token, const Patience& patience) {
  const auto described = token.Describe();
  const auto what = described.manufacturer + '\0' + described.model + '\0' + described.serial;
  const auto made = MakeFolder(token.lock_directory());
  auto lock = made ? Take(token.lock_directory(), jws::Sha256Thumbprint(AsBytes(what)) + ".lock", patience)
                   : std::unexpected(made.error());
  if (!lock && lock.error().code == Code::kConfigInvalid) {
    lock.error().message.insert(0, "lock_directory: ");
  }
  return lock;
}

}  // namespace assertion
