#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

namespace assertion {

// The connections that are open to a listener which everybody may reach: so many and no more, shared fairly among the
// addresses that they come from (of IPv6 the /64, of which one machine has all).
class Visitors {
 public:
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kEnding = 64;  // besides, of those that had to make room and are not closed yet

  // Lets a connection in, which Close then closes. When there are kMost, the oldest one of the address that has most
  // makes room: it is shut, not closed. Of addresses that have as many, it is the newcomer's own. False: no room,
  // because kEnding have not gone yet; the socket is left to the caller.
  bool Admit(int socket);

  // Whether an admitted connection had to make room.
  bool IsShut(int socket) const;

  void Close(int socket);

 private:
  struct Visitor {
    int socket;
    std::string source;
    bool shut = false;
  };

  mutable std::mutex mutex_;
  std::vector<Visitor> visitors_;  // the oldest first
};

}  // namespace assertion
