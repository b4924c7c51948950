#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/profile.h"
#include "assertion/template.h"

namespace assertion {

// The claims of one assertion, DPoP proof, request object or Kubernetes service account token after Policy has vetted
// them. Only Policy makes one. It is moved, never copied, up to the queue of the HSM that signs it: one approval, one
// JWT.
class ApprovedClaims {
 public:
  ApprovedClaims(ApprovedClaims&&) = default;
  ApprovedClaims& operator=(ApprovedClaims&&) = default;
  ApprovedClaims(const ApprovedClaims&) = delete;
  ApprovedClaims& operator=(const ApprovedClaims&) = delete;
  ~ApprovedClaims() = default;

  const std::string& client_id() const { return client_id_; }
  const std::shared_ptr<const Profile>& profile() const { return profile_; }  // of the client for the purpose
  const std::string& audience() const { return audience_; }                   // empty: no aud
  const std::string& subject() const { return subject_; }                     // empty: the caller named none
  const std::string& scope() const { return scope_; }                         // empty: the caller named none
  const std::string& jti() const { return jti_; }                             // empty: none
  Time issued_at() const { return issued_at_; }
  Time expires_at() const { return expires_at_; }  // issued_at: no exp

  // The JWT Claims Set as JSON (RFC 7519 section 4), without the values of `gaps`.
  const std::string& json() const { return json_; }

  // Where json() lacks a value that only the key that signs can tell, in order.
  struct Gap {
    std::size_t at;
    TemplateWord word;
  };
  const std::vector<Gap>& gaps() const { return gaps_; }

 private:
  friend class Policy;
  ApprovedClaims() = default;

  std::string client_id_;
  std::shared_ptr<const Profile> profile_;
  std::string audience_;
  std::string subject_;
  std::string scope_;
  std::string jti_;
  Time issued_at_;
  Time expires_at_;
  std::string json_;
  std::vector<Gap> gaps_;
};

}  // namespace assertion
