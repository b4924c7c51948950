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
  0  done
  1  the server refused, or doctor, assertion inspect, key evidence verify or audit verify found something wrong
  2  wrong command line
  3  a file or the configuration is wrong, or cannot be read
  4  the server cannot be reached
  5  the identity server refused)";

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
