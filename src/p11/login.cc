#include "p11/login.h"

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

#include "p11/pin.h"
#include "p11/refused_pins.h"

namespace assertion::p11 {
namespace {

// The PIN in the file, when an attempt with it cannot lock the token.
Result<Pin> ReadPinWorthTrying(const TokenInfo& info, const std::string& pin_path, const RefusedPins& refused) {
  if ((info.flags & CKF_USER_PIN_LOCKED) != 0) {
    return Fail(Code::kPinLocked, "the token has locked its user PIN: the security officer must unlock it");
  }
  if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0) {
    return Fail(Code::kPinLocked,
                "one more wrong PIN would lock the token: not tried; log in once by hand with the right PIN, then "
                "start again");
  }
  ASSIGN_OR_RETURN(auto pin, Pin::ReadFile(pin_path));
  if (refused.Contain(pin)) {
    return Fail(Code::kPinRefused, "the token refused the PIN in " + pin_path +
                                       " before; not tried again, tokens lock after a few attempts: correct that "
                                       "file, or remove " +
                                       refused.path() + " if the token was changed");
  }
  return pin;
}

// A token in software that uses OpenSSL may refuse the right PIN when these variables leave OpenSSL without the
// algorithms that the PIN is checked with. They stay set: an operator may need them, for OpenSSL's FIPS provider.
std::string OpenSslVariables() {
  std::string names;
  for (const char* name : {"OPENSSL_CONF", "OPENSSL_MODULES"}) {
    if (std::getenv(name) != nullptr) {
      names += std::string("; ") + name + " is set: a token that uses OpenSSL may refuse the right PIN because of it";
    }
  }
  return names;
}

// One attempt; see Login::LogIn.
Result<Session> LogInOnce(const std::shared_ptr<Module>& module, const TokenInfo& info, const std::string& pin_path,
                          const std::string& state_directory) {
  const RefusedPins refused(state_directory, info.serial);
  ASSIGN_OR_RETURN(const auto pin, ReadPinWorthTrying(info, pin_path, refused));
  RETURN_IF_ERROR(refused.Prepare());
  auto session = Session::Open(module, info.slot, 0);
  if (!session) {
    refused.Discard();
    return session;
  }
  auto logged_in = session->LogIn(pin);
  if (logged_in || logged_in.error().code != Code::kPinRefused) {
    refused.Discard();
    return logged_in ? std::move(session) : std::unexpected(logged_in.error());
  }
  const auto remembered = refused.Add(pin);
  logged_in.error().detail += OpenSslVariables();
  logged_in.error().message += "; it will not be tried again until " + pin_path + " holds another";
  if (!remembered) {
    logged_in.error().detail += "; " + remembered.error().ToString();
  }
  return std::unexpected(logged_in.error());
}

}  // namespace

Result<std::unique_ptr<Login>> Login::LogIn(std::shared_ptr<Module> module, TokenInfo info, std::string pin_path,
                                            std::string state_directory) {
  ASSIGN_OR_RETURN(auto session, LogInOnce(module, info, pin_path, state_directory));
  return std::unique_ptr<Login>(new Login(std::move(module), std::move(pin_path), std::move(state_directory),
                                          std::make_shared<Connection>(std::move(info), std::move(session), 0)));
}

std::shared_ptr<Login::Connection> Login::Connected() const {
  const MutexLock lock(mutex_);
  return connection_;
}

Result<Session> Login::OpenSession(CK_FLAGS flags) {
  constexpr std::chrono::seconds kPatience{1};  // the HSM may hang at the login: then the session tells
  constexpr int kMostReloads = 3;               // that come in between
  for (int reloads = 0;; ++reloads) {
    MutexLock lock(mutex_);
    const bool settled = reloaded_.wait_for(lock, kPatience, [this]() REQUIRES(mutex_) { return !reloading_; });
    lock.unlock();
    if (const auto followed = settled ? FollowReload() : Status(); !followed) {
      return Fail(Code::kUnavailable, "the HSM is not available; try again", followed.error().ToString());
    }
    const auto connection = Connected();
    auto session = Session::Open(module_, connection->info.slot, flags);
    if (!session || !settled || session->generation() == connection->generation || reloads == kMostReloads) {
      return session;
    }
  }
}

// Logs in again if the module was reloaded for another token.
Status Login::FollowReload() {
  if (!IsOutdated()) {
    return {};
  }
  const HeldTime::Span following(following_);
  const MutexLock one(reconnecting_);
  return IsOutdated() ? LogInAgain() : Status();
}

void Login::SetReloading(bool reloading) {
  {
    const MutexLock lock(mutex_);
    reloading_ = reloading;
  }
  reloaded_.notify_all();
}

Status Login::Check() {
  RETURN_IF_ERROR(FollowReload());
  return CheckStanding();
}

Status Login::CheckStanding() {
  const auto connection = Connected();
  const MutexLock lock(connection->mutex);
  return connection->login.CheckLogin();
}

Status Login::Reconnect(Reconnection how) {
  const MutexLock one(reconnecting_);
  if (how == Reconnection::kLogIn && CheckStanding()) {
    return {};
  }
  Status reloaded;
  if (how == Reconnection::kReload) {
    // Not before the module is idle: those who open a session need not wait for calls that the reload waits for.
    reloaded = module_->Reload([this] { SetReloading(true); });
  }
  auto logged_in = reloaded ? LogInAgain() : reloaded;
  SetReloading(false);
  return logged_in;
}

Status Login::LogInAgain() {
  const auto before = Connected();
  ASSIGN_OR_RETURN(auto info, module_->FindAgain(before->info));
  ASSIGN_OR_RETURN(auto session, LogInOnce(module_, info, pin_path_, state_directory_));
  auto connection = std::make_shared<Connection>(std::move(info), std::move(session), before->epoch + 1);
  const MutexLock lock(mutex_);
  connection_ = std::move(connection);
  return {};
}

}  // namespace assertion::p11
