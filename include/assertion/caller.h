#pragma once

#include <string>
#include <utility>

namespace assertion {

// Somebody who has been authenticated. Only the service makes one, from what the transport proved.
class Caller {
 public:
  // `name` is how logs and refusals call the peer, for example "unix" for a process that may open the socket.
  static Caller Authenticated(std::string name) { return Caller(std::move(name)); }

  const std::string& name() const { return name_; }

 private:
  explicit Caller(std::string name) : name_(std::move(name)) {}

  std::string name_;
};

}  // namespace assertion
