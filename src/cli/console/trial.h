#pragma once

#include <string>
#include <thread>

#include "assertion/clock.h"
#include "assertion/mutex.h"
#include "cli/oidc/login.h"
#include "cli/oidc/login_record.h"
#include "cli/oidc/login_request.h"

namespace assertion::cli {

// How far a trial is.
struct TrialState {
  enum class Stage { kAsking, kWaiting, kExchanging, kEnded };

  Stage stage = Stage::kAsking;
  std::string url{};     // while it waits: where the person logs in
  Time until{};          // while it waits: until when
  LoginRecord record{};  // once it has ended; secrets are cut
  std::string next{};    // after a failure: what to do
};

// One log-in that the console tries. It waits for the person for minutes, so it has a thread of its own, which ends
// with the object.
class LoginTrial {
 public:
  // Begins at once. `server` is assertiond's address.
  LoginTrial(LoginRequest request, std::string server);

  // Ends it at once if it has not ended: then nobody hears the browser any more.
  void GiveUp();

  TrialState Now() const EXCLUDES(mutex_);

 private:
  void Run(const std::stop_token& given_up);
  LoginResult Go(Login& login);
  void Show(TrialState state) EXCLUDES(mutex_);

  const LoginRequest request_;
  const std::string server_;
  mutable Mutex mutex_;
  TrialState state_ GUARDED_BY(mutex_);
  std::jthread thread_;  // the last: it uses the others
};

}  // namespace assertion::cli
