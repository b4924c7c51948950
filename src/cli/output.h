#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "assertion/error.h"

namespace assertion::cli {

// Exit statuses, and what --help says about them.
inline constexpr int kRefused = 1;
inline constexpr int kUsage = 2;
inline constexpr int kFile = 3;
inline constexpr int kUnreachable = 4;
inline constexpr int kRefusedByIdentityServer = 5;
inline constexpr const char* kExitStatusHelp = R"(Exit status:
  0  done, or a change waits for a second person
  1  the server refused, or status, doctor, assertion inspect, audit show --jti, audit verify, key adopt,
     key evidence verify, token request --issuer or oidc login found something wrong
  2  wrong command line
  3  a file or the configuration is wrong, or cannot be read
  4  the server cannot be reached; console, oidc login: nobody came in time
  5  the identity server refused: token request, oidc login, wso2 publish, key rotate --publish
  10  oidc login: the provider refused the redirect URI
  11  oidc login: the redirect has another state
  12  oidc login: access_denied
  13  oidc login: the provider refused the code
  14  oidc login: another key signed the ID token
  15  oidc login: the clocks differ
  127  assertion refresh: the command cannot be started; its other statuses are the command's)";

// Says on standard error what happened and what to do next ("": nothing); returns `status`.
int Report(int status, const std::string& what, const std::string& next);

// The same for a file that cannot be used.
int ReportFile(const Error& error);

// Writes text to the file, or to standard output for "", where control characters are made visible; returns the exit
// status.
int Write(const std::string& path, std::string_view text);

// Writes octets as they are.
int WriteOctets(const std::string& path, std::string_view octets);

// Writes indented JSON to standard output.
int WriteJson(const nlohmann::ordered_json& json);

}  // namespace assertion::cli
