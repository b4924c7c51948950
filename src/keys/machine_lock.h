#pragma once

#include <memory>
#include <string>
#include <utility>

#include "assertion/descriptor.h"
#include "assertion/error.h"
#include "assertion/token.h"
#include "keys/patience.h"

namespace assertion {

// One holder at a time among all threads and processes that use one folder: flock(2) on a file in it, so the kernel
// lets go of it when the holder dies. Only the service's own user and root can hold it: the file has mode 0600, and a
// folder that others may write is refused.
class MachineLock {
 public:
  MachineLock() = default;  // holds nothing

  // `name` is the file's, without '/'; the folder must be there.
  // ABORTED when another holds it for longer than `patience` allows. With takes_over it is shared with this process's
  // other holder at once. kConfigInvalid: folder or file cannot be used; the message says what to do.
  static Result<MachineLock> Take(const std::string& folder, const std::string& name, const Patience& patience = {});

  // Before a change of the token, in its lock_directory(), which is made, with mode 0700, when it is not there:
  // SoftHSM2 asks for one process at a time, which has searched before it stores (see TokenLedger).
  static Result<MachineLock> TakeFor(const Token& token, const Patience& patience = {});

 private:
  explicit MachineLock(std::shared_ptr<const Descriptor> file) : file_(std::move(file)) {}

  std::shared_ptr<const Descriptor> file_;  // closing it lets go
};

}  // namespace assertion
