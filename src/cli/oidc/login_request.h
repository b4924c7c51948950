#pragma once

#include <chrono>
#include <string>

#include "cli/connection.h"

namespace assertion::cli {

// A log-in to try, as the flags of `assertionctl oidc login` name it.
struct LoginRequest {
  std::string client_id;
  std::string issuer;
  std::string audience;  // of the assertions; empty: the client's first
  std::string scope = "openid";
  std::string redirect_uri = "http://127.0.0.1:0/callback";
  std::string ca_file;                // of the provider; empty: the system's
  std::chrono::seconds timeout{300};  // until the browser comes back
  Connection::Limits limits{};        // for assertiond
};

}  // namespace assertion::cli
