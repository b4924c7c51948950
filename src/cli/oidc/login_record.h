#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "oauth/form.h"
#include "oauth/id_token.h"

namespace assertion::cli {

// One request of a log-in: what was sent and what came back, secrets cut.
struct LoginStep {
  std::string title;
  std::string request;  // GET or POST, and the URL
  oauth::FormFields sent;
  std::string received;
};

// All that a log-in did, for the browser's last page and for --json.
struct LoginRecord {
  std::string client_id;
  std::string issuer;
  std::vector<LoginStep> steps;
  std::vector<oauth::Check> checks;
  nlohmann::ordered_json header;  // of the ID token
  nlohmann::ordered_json claims;
  std::string failure;  // empty: logged in
};

// The first octets of a secret and its size.
std::string Cut(std::string_view secret);

// The fields with code, assertion, verifier, state and nonce cut.
oauth::FormFields WithoutSecrets(oauth::FormFields fields);

// A JSON answer with its tokens cut; of any other answer only the status.
std::string WithoutSecrets(const oauth::HttpAnswer& answer);

// Static HTML without script; all text from elsewhere is escaped.
std::string LoginPage(const LoginRecord& record);

nlohmann::ordered_json LoginJson(const LoginRecord& record);

}  // namespace assertion::cli
