#pragma once

#include <string>
#include <utility>
#include <vector>

namespace assertion {

// Somebody who has been authenticated. Only the service makes one, from what the transport proved.
class Caller {
 public:
  // `identities` is not empty; the first is how logs and refusals call the peer. For example "uid:1000" for a process
  // of that user on this machine, or a certificate's subject alternative names: "spiffe://…", "dns:…".
  static Caller Authenticated(std::vector<std::string> identities) { return Caller(std::move(identities)); }

  const std::string& name() const { return identities_.front(); }
  const std::vector<std::string>& identities() const { return identities_; }

 private:
  explicit Caller(std::vector<std::string> identities) : identities_(std::move(identities)) {}

  std::vector<std::string> identities_;
};

// What an operator may do. Each may look at keys.
enum class Role { kViewer, kOperator, kApprover };

// Somebody with roles, as configured.
struct Operator {
  std::string caller;  // as in Client::callers
  std::vector<Role> roles;
};

}  // namespace assertion
