#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "assertion/descriptor.h"
#include "assertion/error.h"

namespace assertion::cli {

// A secret in a file of mode 0600 that others read while it is replaced: a reader sees the whole of one text or of the
// next. The folder stays open, so that renaming it moves the file along.
class KeptFile {
 public:
  // kConfigInvalid: the folder does not exist, or somebody else than root and this user can replace the file, the
  // folder or one above it.
  static Result<KeptFile> In(const std::string& path);

  // True when the folder is in memory (tmpfs, ramfs): nothing of the file reaches a disk.
  bool in_memory() const { return in_memory_; }
  const std::string& path() const { return path_; }

  // Writes beside, syncs, renames. kConfigInvalid names the failing call.
  Status Replace(std::string_view text);

  // Removes the file if it is still the one that Replace wrote.
  void Remove();

  // A descriptor that becomes readable when the file is opened.
  int opened() const { return inotify_.get(); }

  // How often the file that Replace wrote last was opened since the last call. Opens at the same instant may count as
  // one: inotify(7) merges equal events.
  int TakeOpens();

 private:
  KeptFile() = default;

  std::string path_;
  std::string name_;
  Descriptor folder_;
  Descriptor inotify_;
  int watch_ = -1;
  bool in_memory_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace assertion::cli
