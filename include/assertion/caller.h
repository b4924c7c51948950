#pragma once

#include <string>
#include <utility>
#include <vector>

namespace assertion {

// An authenticated peer. Only the service makes one, from the identities that the transport proved.
class Caller {
 public:
  // `identities` is not empty; logs and refusals name the peer by the first. For example "uid:1000" for a process
  // of that user on this machine, or a certificate's subject alternative names: "spiffe://…", "dns:…".
  static Caller Authenticated(std::vector<std::string> identities) { return Caller(std::move(identities)); }

  const std::string& name() const { return identities_.front(); }
  const std::vector<std::string>& identities() const { return identities_; }

 private:
  explicit Caller(std::vector<std::string> identities) : identities_(std::move(identities)) {}

  std::vector<std::string> identities_;
};

// The permissions of an operator. Every role may read keys.
enum class Role { kViewer, kOperator, kApprover };

// A caller with roles, as configured.
struct Operator {
  std::string caller;  // as in Client::callers
  std::vector<Role> roles;
};

}  // namespace assertion
