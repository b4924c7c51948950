#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "assertion/descriptor.h"
#include "assertion/error.h"

namespace assertion::cli {

// A secret in a file of mode 0600 that others read while it is replaced: a reader sees the whole of one text or of the
// next. The file is where its path leads at each Replace, also after its folder was moved or made anew. It is locked
// (flock(2)), so that two programs do not keep one file.
class KeptFile {
 public:
  // Errors of Find. kConfigInvalid also if the path leads to anything but an empty file or a JWT of this user's with
  // mode 0600, which an earlier run may have left: the first Replace would overwrite it.
  static Result<KeptFile> In(const std::string& path);

  // Opens the folder that the path leads to now, for the next Replace. A file that was written into another one is
  // removed there. kConfigInvalid: the folder does not exist, or somebody else than root and this user can write to the
  // folder or replace one above it, or another program keeps the file.
  Status Find();

  // True when the folder is in memory (tmpfs, ramfs): nothing of the file reaches a disk.
  bool in_memory() const { return in_memory_; }
  const std::string& path() const { return path_; }

  // Writes beside, syncs, renames. kConfigInvalid names the failing call.
  Status Replace(std::string_view text);

  // True if the path leads to the file that Replace wrote.
  bool IsThere() const;

  // Removes the file if it is still the one that Replace wrote. False: it is not.
  bool Remove();

  // A descriptor that becomes readable when the file is opened, moved or removed.
  int changed() const { return inotify_.get(); }

  // How often the file that Replace wrote last was opened since the last call. Opens at the same instant may count as
  // one: inotify(7) merges equal events.
  int TakeOpens();

 private:
  KeptFile() = default;

  std::string path_;
  std::string folder_path_;
  std::string name_;
  Descriptor folder_;
  Descriptor inotify_;
  int watch_ = -1;
  bool in_memory_ = false;
  Descriptor kept_;  // the file: holds the lock, and keeps its inode number from being used again
};

}  // namespace assertion::cli
