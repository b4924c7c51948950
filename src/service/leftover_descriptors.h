#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace assertion::service {

// Descriptors of ended connections that gRPC has not closed yet. Not thread-safe.
class LeftoverDescriptors {
 public:
  // gRPC's descriptor `theirs` and `ours` refer to the same socket. False: the socket cannot be identified.
  bool Add(int theirs, int ours);

  // Forgets descriptors that are closed, and those whose number now belongs to another file.
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
