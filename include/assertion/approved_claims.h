#pragma once

#include <string>

#include "assertion/clock.h"

namespace assertion {

// The claims of one assertion after Policy has vetted them: iss, sub, aud, iat, exp, jti and the allowed extras. Only
// Policy makes one. It is moved, never copied, up to the queue of the HSM that signs it: one approval, one assertion.
class ApprovedClaims {
 public:
  ApprovedClaims(ApprovedClaims&&) = default;
  ApprovedClaims& operator=(ApprovedClaims&&) = default;
  ApprovedClaims(const ApprovedClaims&) = delete;
  ApprovedClaims& operator=(const ApprovedClaims&) = delete;
  ~ApprovedClaims() = default;

  const std::string& client_id() const { return client_id_; }
  const std::string& audience() const { return audience_; }
  const std::string& jti() const { return jti_; }
  Time issued_at() const { return issued_at_; }
  Time expires_at() const { return expires_at_; }

  // The JWT Claims Set as JSON (RFC 7519 section 4).
  const std::string& json() const { return json_; }

 private:
  friend class Policy;
  ApprovedClaims() = default;

  std::string client_id_;
  std::string audience_;
  std::string jti_;
  Time issued_at_;
  Time expires_at_;
  std::string json_;
};

}  // namespace assertion
