#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "cli/oidc/listener.h"
#include "cli/oidc/login_failure.h"
#include "cli/oidc/login_record.h"
#include "cli/oidc/login_request.h"
#include "cli/oidc/provider_talk.h"

namespace assertion::cli {

// One log-in by the authorization code flow, for a person with a browser. Begin, Await and Finish are called in this
// order, each after the one before was good.
class Login {
 public:
  // `given_up` ends each of them. `server` is assertiond's address.
  Login(const LoginRequest& request, const std::string& server, const std::stop_token& given_up = {});
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;
  ~Login();

  // Listens for the browser and asks the provider. Returns where the person logs in: https, or http on a loopback host.
  LoginOutcome<std::string> Begin();

  // Waits until the browser comes back.
  LoginResult Await();

  // Checks what the browser brings, redeems the code, checks the tokens, and answers the browser with all of it.
  LoginResult Finish();

  // What was done so far, with the failure, secrets cut. The messages of failures are cut as well.
  LoginRecord Record() const { return talk_.secrets().CutFrom(talk_.record()); }

 private:
  template <typename T>
  LoginOutcome<T> Ended(LoginOutcome<T> outcome);

  LoginResult Prepare();
  LoginResult AskBeforehand();
  LoginOutcome<std::string> Ask();
  LoginResult Converse();
  LoginResult CheckRedirect();
  LoginResult Redeem();
  LoginResult VerifyIdToken();
  LoginResult AskUserinfo();

  oauth::FormFields RequestFields(const std::string& verifier, const std::string& state,
                                  const std::string& nonce) const;
  std::string RegisterRedirectUri() const;
  std::unexpected<LoginFailure> RefusedRequest(const oauth::HttpAnswer& answer);
  std::unexpected<LoginFailure> RefusedCode(const oauth::HttpAnswer& answer);

  const LoginRequest request_;
  const std::stop_token given_up_;
  const std::string state_;
  const std::string nonce_;
  std::string verifier_;
  std::optional<RedirectListener> listener_;
  ProviderTalk talk_;
  std::string query_;         // of the redirect
  bool is_expected_ = false;  // whoever came back has the state
  std::string code_;
  nlohmann::json tokens_;
};

}  // namespace assertion::cli
