#include "keys/machine_lock.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "assertion/bytes.h"
#include "jws/thumbprint.h"

namespace assertion {
namespace {

constexpr std::chrono::seconds kLongestWait{10};
constexpr std::chrono::milliseconds kPause{5};

}  // namespace

Result<MachineLock> MachineLock::Take(const std::string& what) {
  const auto name = "assertiond " + jws::Sha256Thumbprint(AsBytes(what));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  name.copy(&address.sun_path[1], sizeof address.sun_path - 1);  // the first octet is 0: no file
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  MachineLock lock(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (lock.socket_ < 0) {
    return Fail(Code::kInternal, "the lock of this machine cannot be taken",
                std::string("socket: ") + std::strerror(errno));
  }
  const auto deadline = std::chrono::steady_clock::now() + kLongestWait;
  while (bind(lock.socket_, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    if (errno != EADDRINUSE) {
      return Fail(Code::kInternal, "the lock of this machine cannot be taken",
                  std::string("bind: ") + std::strerror(errno));
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Fail(Code::kAborted, "another process of this machine is changing keys: read them again and decide again",
                  "bind: @" + name + " is in use");
    }
    std::this_thread::sleep_for(kPause);
  }
  return lock;
}

MachineLock::MachineLock(MachineLock&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}

MachineLock::~MachineLock() {
  if (socket_ >= 0) {
    close(socket_);
  }
}

Result<MachineLock> MachineLock::TakeFor(const Token& token) {
  const auto described = token.Describe();
  return Take(described.manufacturer + '\0' + described.model + '\0' + described.serial);
}

}  // namespace assertion
