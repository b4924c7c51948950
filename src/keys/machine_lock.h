#pragma once

#include <string>

#include "assertion/error.h"
#include "assertion/token.h"

namespace assertion {

// One holder at a time among all threads and processes of this machine (of its network namespace, to be exact). It is
// an abstract Unix domain socket's name, so the kernel lets go of it when the holder dies.
class MachineLock {
 public:
  // Waits for some seconds; ABORTED when another holds it for longer. `what` is its name, of any octets.
  static Result<MachineLock> Take(const std::string& what);

  // For who changes the token: SoftHSM2 asks for one process at a time, which has searched before it stores (see
  // TokenLedger).
  static Result<MachineLock> TakeFor(const Token& token);

  MachineLock(MachineLock&& other) noexcept;
  MachineLock& operator=(MachineLock&&) = delete;
  MachineLock(const MachineLock&) = delete;
  MachineLock& operator=(const MachineLock&) = delete;
  ~MachineLock();

 private:
  explicit MachineLock(int socket) : socket_(socket) {}

  int socket_;
};

}  // namespace assertion
