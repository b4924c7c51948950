#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace assertion::service {

// Descriptors of ended connections that gRPC has not closed yet. Not thread-safe.
class LeftoverDescriptors {
 public:
  // gRPC's descriptor `theirs` of the socket that `ours` is of, too. False: the socket cannot be recognised.
  bool Add(int theirs, int ours);

  // Forgets those whose number means no file, or another one, by now.
  void ForgetClosed();

  std::size_t size() const { return leftovers_.size(); }

 private:
  struct Leftover {
    int fd;
    dev_t device;
    ino_t inode;
  };

  std::vector<Leftover> leftovers_;
};

}  // namespace assertion::service
