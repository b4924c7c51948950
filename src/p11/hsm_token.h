#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/custody_trial.h"
#include "assertion/hsm_settings.h"
#include "assertion/mutex.h"
#include "assertion/token.h"
#include "p11/custody.h"
#include "p11/login.h"
#include "p11/module.h"
#include "p11/signing_mechanism.h"

namespace assertion::p11 {

// A token of a PKCS#11 module with this process logged in as its user. Puts together the login, the objects on the
// token, the birth of keys and the signing sessions.
class HsmToken final : public Token {
 public:
  // See Login::LogIn. `lock_directory` empty: the folder "lock" in the state directory. `accept_unshown`: see
  // HsmSettings.
  static Result<std::unique_ptr<HsmToken>> LogIn(std::shared_ptr<Module> module, TokenInfo info,
                                                 const std::string& pin_path, const std::string& state_directory,
                                                 const std::string& lock_directory = {},
                                                 AttributeNames accept_unshown = {});

  TokenInfo info() const { return login_->info(); }

  // See TokenDescription. They do not ask the token.
  AttributeNames not_asked() const;
  std::map<std::string_view, CustodyTrial> trials() const;

  // True: the token makes keys for the algorithm and signs with them.
  bool Supports(const Algorithm& algorithm) const { return mechanisms_->MakesKeysFor(algorithm); }

  // Tries the token's custody with a throw-away key of the algorithm's type, once for each type in this process. See
  // TryCustody.
  Result<CustodyTrial> TryCustody(const Algorithm& algorithm);

  using Token::Read;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override;
  Result<std::vector<ListedObject>> List(std::span<const std::string_view> applications) override;
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override;
  Result<TokenKey> ImportKeyPair(const NewKey& key, const PrivateKey& private_key) override;
  Status CheckCustody(const Algorithm& algorithm) override;
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override;
  Status SetLabel(BytesView id, std::string_view label) override;
  Status DestroyKey(BytesView id) override;
  Status DestroyObject(ObjectHandle object) override;
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override;
  Status StoreData(std::string_view application, std::string_view label, std::string_view value) override;
  Result<PrivateKeyReference> PrivateKeyOf(BytesView id) override;
  TokenDescription Describe() const override;
  const std::string& lock_directory() const override { return lock_directory_; }
  std::string MechanismOf(const Algorithm& algorithm) const override;
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override;
  Status Check() override;
  std::chrono::steady_clock::time_point HeldUntil() const override;
  bool IsChanging() const override;
  unsigned Epoch() const override { return login_->epoch(); }
  std::shared_ptr<void> Hold() override;
  Status Reconnect(Reconnection how) override;

 private:
  HsmToken(std::shared_ptr<Module> module, std::unique_ptr<Login> login, SigningMechanisms mechanisms,
           std::string lock_directory, AttributeNames accept_unshown)
      : module_(std::move(module)),
        login_(std::move(login)),
        mechanisms_(std::make_shared<const SigningMechanisms>(mechanisms)),
        lock_directory_(std::move(lock_directory)),
        accept_unshown_(std::move(accept_unshown)) {}

  const std::shared_ptr<Module> module_;
  const std::unique_ptr<Login> login_;
  const std::shared_ptr<const SigningMechanisms> mechanisms_;  // the token's, so unchanged by a reconnection
  const std::string lock_directory_;
  const AttributeNames accept_unshown_;
  // What new keys of a type taught.
  struct Learnt {
    AttributeTypes left_out;  // what templates may not hold
    std::optional<CustodyTrial> trial;
  };

  Learnt LearntOf(const KeyType& type) const;

  Mutex trial_mutex_;  // taken before learnt_mutex_, for the length of a trial
  mutable Mutex learnt_mutex_;
  std::map<const KeyType*, Learnt> learnt_ GUARDED_BY(learnt_mutex_);
};

}  // namespace assertion::p11
