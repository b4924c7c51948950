#pragma once

#include <p11-kit/pkcs11.h>

#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "assertion/algorithm.h"
#include "assertion/bytes.h"
#include "assertion/error.h"
#include "assertion/token.h"
#include "p11/hasher.h"
#include "p11/session.h"
#include "p11/signing_mechanism.h"

namespace assertion::p11 {

// Signs on one PKCS#11 session. Searches for each key once: the handles it knows are discarded with the session.
class HsmSigningSession final : public SigningSession {
 public:
  HsmSigningSession(Session session, std::shared_ptr<const SigningMechanisms> mechanisms)
      : session_(std::move(session)), mechanisms_(std::move(mechanisms)) {}

  Result<Bytes> Sign(const Bytes& id, const Algorithm& algorithm, std::string_view input) override;

 private:
  Result<CK_OBJECT_HANDLE> HandleOf(const Bytes& id);
  Result<Bytes> SignWith(const SigningMechanism& mechanism, CK_OBJECT_HANDLE key, std::string_view input);

  Session session_;
  const std::shared_ptr<const SigningMechanisms> mechanisms_;
  Hasher hasher_;
  std::map<Bytes, CK_OBJECT_HANDLE> handles_;
};

}  // namespace assertion::p11
