#pragma once

#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/token.h"
#include "p11/held_time.h"
#include "p11/module.h"
#include "p11/session.h"

namespace assertion::p11 {

// This process's login to one token as its user, kept alive by a session that stays open: closing a process's last
// session logs it out. All methods may be called from any thread.
class Login {
 public:
  // Makes one attempt with the PIN file's content. Makes none when the token says that it is the last one before the
  // lock (kPinLocked), or when the token refused this PIN before (kPinRefused, remembered in `state_directory`).
  static Result<std::unique_ptr<Login>> LogIn(std::shared_ptr<Module> module, TokenInfo info, std::string pin_path,
                                              std::string state_directory);

  // The token as it was found at the latest login.
  TokenInfo info() const { return Connected()->info; }

  // How often the login was renewed: object handles are valid in one epoch.
  unsigned epoch() const { return Connected()->epoch; }

  // Opens a session under the login. Waits up to a second for a reload that is not logged in again, and logs in again
  // after a reload for another token of the module: a session that is opened in between shows no private key.
  Result<Session> OpenSession(CK_FLAGS flags);

  // The latest moment at which a reload, or the login after one for another token, kept calls waiting.
  std::chrono::steady_clock::time_point HeldUntil() const {
    return std::max(module_->reloading().Until(), following_.Until());
  }

  // See Token::Check and Token::Reconnect.
  Status Check();
  Status Reconnect(Reconnection how);

 private:
  struct Connection {
    Connection(TokenInfo token, Session session, unsigned count)
        : info(std::move(token)), epoch(count), generation(session.generation()), login(std::move(session)) {}

    const TokenInfo info;
    const unsigned epoch;
    const unsigned generation;  // of the module: the login ends with it
    Mutex mutex;                // a session belongs to one thread at a time
    Session login GUARDED_BY(mutex);
  };

  Login(std::shared_ptr<Module> module, std::string pin_path, std::string state_directory,
        std::shared_ptr<Connection> connection)
      : module_(std::move(module)),
        pin_path_(std::move(pin_path)),
        state_directory_(std::move(state_directory)),
        connection_(std::move(connection)) {}

  std::shared_ptr<Connection> Connected() const;
  void SetReloading(bool reloading);
  bool IsOutdated() const { return Connected()->generation != module_->generation(); }
  Status FollowReload();
  Status CheckStanding();
  Status LogInAgain();

  const std::shared_ptr<Module> module_;
  const std::string pin_path_;
  const std::string state_directory_;
  Mutex reconnecting_;  // one Reconnect at a time
  mutable Mutex mutex_;
  std::shared_ptr<Connection> connection_ GUARDED_BY(mutex_);
  bool reloading_ GUARDED_BY(mutex_) = false;  // from a reload until the login that follows it has been tried
  ConditionVariable reloaded_;
  HeldTime following_;  // the login after a reload for another token
};

}  // namespace assertion::p11
