#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/token.h"
#include "p11/module.h"
#include "p11/session.h"

namespace assertion::p11 {

// A token of a PKCS#11 module with this process logged in as its user.
class HsmToken final : public Token {
 public:
  // Logs in with the PIN file's content: one attempt, none when the token says that it is the last one before the lock
  // (kPinLocked) or when it refused this PIN file before (kPinRefused, remembered in `state_directory`).
  static Result<std::unique_ptr<HsmToken>> LogIn(std::shared_ptr<Module> module, TokenInfo info,
                                                 const std::string& pin_path, const std::string& state_directory);

  const TokenInfo& info() const { return info_; }

  // Whether the token signs with the algorithm and makes keys for it.
  bool Supports(const Algorithm& algorithm) const;

  Result<std::vector<TokenKey>> FindKeys(std::string_view label) override;
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override;
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override;
  Status DestroyKey(BytesView id) override;
  Result<std::string> PrivateKeyUri(BytesView id) override;
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override;

 private:
  HsmToken(std::shared_ptr<Module> module, TokenInfo info, Session login)
      : module_(std::move(module)), info_(std::move(info)), login_(std::move(login)) {}

  Result<Session> OpenSession(CK_FLAGS flags) const { return Session::Open(module_, info_.slot, flags); }

  std::shared_ptr<Module> module_;
  TokenInfo info_;
  Session login_;  // kept open: closing a process's last session logs it out
};

}  // namespace assertion::p11
