#pragma once

#include <sys/types.h>

#include <string>

namespace assertion::bench {

// Another server on the same token, asked in turns with the first.
struct Peer {
  std::string name;
  std::string target;  // unix:/PATH
  pid_t server = 0;
  bool has_stream = true;
};

// Reads NAME=unix:/PATH,PID, with ",unary" at the end for a server without streams. Throws when it is not that.
Peer PeerOf(const std::string& text);

}  // namespace assertion::bench
