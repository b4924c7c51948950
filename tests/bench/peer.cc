#include "bench/peer.h"

#include <cstdlib>
#include <stdexcept>

namespace assertion::bench {

Peer PeerOf(const std::string& text) {
  const auto equals = text.find('=');
  const auto comma = text.find(',', equals);
  if (equals == std::string::npos || comma == std::string::npos) {
    throw std::runtime_error("--peer must be NAME=unix:/PATH,PID[,unary], not " + text);
  }
  return {.name = text.substr(0, equals),
          .target = text.substr(equals + 1, comma - equals - 1),
          .server = static_cast<pid_t>(std::atol(text.c_str() + comma + 1)),
          .has_stream = !text.ends_with(",unary")};
}

}  // namespace assertion::bench
