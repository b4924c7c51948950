#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/token.h"
#include "p11/module.h"
#include "p11/session.h"
#include "p11/signing_mechanism.h"

namespace assertion::p11 {

// A token of a PKCS#11 module with this process logged in as its user.
class HsmToken final : public Token {
 public:
  // Logs in with the PIN file's content: one attempt, none when the token says that it is the last one before the lock
  // (kPinLocked) or when it refused this PIN file before (kPinRefused, remembered in `state_directory`).
  // `lock_directory` empty: the folder "lock" in the state directory.
  static Result<std::unique_ptr<HsmToken>> LogIn(std::shared_ptr<Module> module, TokenInfo info,
                                                 const std::string& pin_path, const std::string& state_directory,
                                                 const std::string& lock_directory = {});

  TokenInfo info() const { return Connected()->info; }

  // Whether the token signs with the algorithm and makes keys for it.
  bool Supports(const Algorithm& algorithm) const { return mechanisms_->MakesKeysFor(algorithm); }

  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels) override;
  Result<std::vector<ListedObject>> List(std::span<const std::string_view> applications) override;
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override;
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override;
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
  unsigned Epoch() const override { return Connected()->epoch; }
  std::shared_ptr<void> Hold() override;
  Status Reconnect(Reconnection how) override;

 private:
  // A login, and the epoch of the handles that are seen under it.
  struct Connection {
    Connection(TokenInfo token, Session session, unsigned count)
        : info(std::move(token)), login(std::move(session)), epoch(count) {}

    const TokenInfo info;
    Session login;  // kept open: closing a process's last session logs it out
    const unsigned epoch;
    std::mutex checking;  // a session belongs to one thread at a time
  };

  HsmToken(std::shared_ptr<Module> module, std::string pin_path, std::string state_directory,
           std::string lock_directory, SigningMechanisms mechanisms, std::shared_ptr<Connection> connection)
      : module_(std::move(module)),
        pin_path_(std::move(pin_path)),
        state_directory_(std::move(state_directory)),
        lock_directory_(std::move(lock_directory)),
        mechanisms_(std::make_shared<const SigningMechanisms>(mechanisms)),
        connection_(std::move(connection)) {}

  std::shared_ptr<Connection> Connected() const;
  Result<Session> OpenSession(CK_FLAGS flags) const;

  const std::shared_ptr<Module> module_;
  const std::string pin_path_;
  const std::string state_directory_;
  const std::string lock_directory_;
  const std::shared_ptr<const SigningMechanisms> mechanisms_;  // of the token, so of every connection to it
  std::mutex reconnecting_;
  mutable std::shared_timed_mutex settling_;  // from a reload on until the login that follows
  mutable std::mutex mutex_;
  std::shared_ptr<Connection> connection_;
};

}  // namespace assertion::p11
