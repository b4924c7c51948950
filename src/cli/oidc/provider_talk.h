#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "cli/oidc/login_failure.h"
#include "cli/oidc/login_record.h"
#include "cli/oidc/login_request.h"
#include "oauth/form.h"
#include "oauth/metadata.h"

namespace assertion::cli {

// What one log-in asks its provider. Each request is written into the record with its answer, secrets cut.
class ProviderTalk {
 public:
  // `given_up` ends requests. `server` is assertiond's address.
  ProviderTalk(LoginRequest request, std::string server, std::stop_token given_up);

  // Reads the metadata and checks all endpoints at once: the person shall not log in for nothing.
  LoginResult Discover();
  const oauth::ServerMetadata& metadata() const { return metadata_; }

  // Posts the fields with a fresh assertion, which authenticates the client. `name` is the endpoint's in the metadata.
  LoginOutcome<oauth::HttpAnswer> PostAsClient(const char* title, const char* name, const std::string& url,
                                               oauth::FormFields fields);

  // Asks the authorization endpoint as a browser would that nobody uses (OpenID Connect Core 1.0 section 3.1.2.1),
  // follows nothing, and drops a code. Why it refuses the redirect URI; empty: it does not say so, or does not answer.
  LoginOutcome<std::string> AskBeforehand(oauth::FormFields fields, const std::string& redirect_uri);

  // A JSON document.
  LoginOutcome<nlohmann::json> Get(const char* title, const char* name, const std::string& url,
                                   const std::string& bearer);

  // The failure for an answer that is no refusal of what was sent, if it is one.
  std::optional<LoginFailure> FailureOfProvider(const oauth::HttpAnswer& answer, const char* missing);

  // Shows what a JWT says. A token in another form is the provider's own matter.
  void Decode(std::string name, const std::string& token);

  LoginRecord& record() { return record_; }
  LoginSecrets& secrets() { return secrets_; }
  const LoginRecord& record() const { return record_; }
  const LoginSecrets& secrets() const { return secrets_; }

 private:
  LoginOutcome<oauth::Url> Endpoint(const char* name, const std::string& url) const;
  LoginResult CheckEndpoints() const;
  std::string AuthorizationText(const oauth::HttpAnswer& answer);

  const LoginRequest request_;
  const std::string server_;
  const std::stop_token given_up_;
  oauth::ServerMetadata metadata_;
  LoginRecord record_;
  LoginSecrets secrets_;
};

// A URL with more parameters.
std::string WithQuery(const std::string& url, const oauth::FormFields& fields);

}  // namespace assertion::cli
