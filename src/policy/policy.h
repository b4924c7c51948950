#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/approved_claims.h"
#include "assertion/caller.h"
#include "assertion/client.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/random.h"

namespace assertion {

// What a caller asks for, as it came.
struct AssertionRequest {
  std::string_view client_id;
  std::string_view audience;                     // empty: the client's first
  std::optional<std::chrono::seconds> lifetime;  // unset: the client's default
  const nlohmann::json* extra_claims = nullptr;  // null, or an object
};

// Decides what may be asserted: the one place that turns a request into claims that may be signed.
// Immutable; may be used from any thread.
class Policy {
 public:
  static constexpr std::size_t kMaxExtraClaimsOctets = 8192;

  Policy(std::vector<Client> clients, Clock clock, Random random);

  // NOT_FOUND for an unknown client, INVALID_ARGUMENT naming the field otherwise. Every caller that is authenticated
  // may ask for every client: the socket's file mode decides who that is.
  Result<ApprovedClaims> Approve(const Caller& caller, const AssertionRequest& request) const;

  // NOT_FOUND when it is not configured.
  Result<const Client*> FindClient(std::string_view client_id) const;

 private:
  std::map<std::string, Client, std::less<>> clients_;
  Clock clock_;
  Random random_;
};

}  // namespace assertion
