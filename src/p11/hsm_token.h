#pragma once

#include <memory>
#include <set>
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

  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels) override;
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override;
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override;
  Status DestroyKey(BytesView id) override;
  Status DestroyObject(ObjectHandle object) override;
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override;
  Status StoreData(std::string_view application, std::string_view label, std::string_view value) override;
  Result<std::string> PrivateKeyUri(BytesView id) override;
  TokenDescription Describe() const override;
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
