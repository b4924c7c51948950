#include "service/leftover_descriptors.h"

#include <sys/stat.h>

namespace assertion::service {

bool LeftoverDescriptors::Add(int theirs, int ours) {
  struct stat info{};
  if (fstat(ours, &info) != 0) {
    return false;
  }
  leftovers_.push_back({.fd = theirs, .device = info.st_dev, .inode = info.st_ino});
  return true;
}

void LeftoverDescriptors::ForgetClosed() {
  std::erase_if(leftovers_, [](const Leftover& leftover) {
    struct stat info{};
    return fstat(leftover.fd, &info) != 0 || info.st_dev != leftover.device || info.st_ino != leftover.inode;
  });
}

}  // namespace assertion::service
