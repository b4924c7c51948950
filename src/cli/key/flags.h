#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "cli/connection.h"
#include "cli/key/change.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace assertion::cli {

// Flags of several verbs of `assertionctl key`.

// "": the description says what the default is.
void AddHsm(CLI::App* verb, std::string& label, const char* description);
inline constexpr const char* kNewKeyHsm = "Label of the HSM's token; default: the first configured HSM";

// A moment of a change, in the form that ParseInstant reads; kInstantHelp goes into the notes of the verb's help.
void AddInstant(CLI::App* verb, const char* name, std::optional<Time>& instant, ChangeFlags& change,
                const char* description);
inline constexpr const char* kInstantHelp =
    "TIME is now, never, a span from now on (+90s, +15m, +2h, +1d), or a time in UTC (2026-11-24T12:00:00Z).";

// A new key pair and its certificate.
struct NewKeyFlags {
  std::string algorithm;  // "": the client's in the configuration
  int bits = 0;           // 0: the server's default
  std::string common_name;
  int validity_days = 0;  // 0: the server's default
};

void AddNewKey(CLI::App* verb, NewKeyFlags& new_key);
void AddAlgorithm(CLI::App* verb, NewKeyFlags& new_key);
// --common-name and --validity-days.
std::array<CLI::Option*, 2> AddCertificateWishes(CLI::App* verb, NewKeyFlags& new_key);

template <typename Request>
void FillNewKey(const NewKeyFlags& new_key, Request& request) {
  request.set_algorithm(new_key.algorithm);
  if constexpr (requires { request.set_key_bits(new_key.bits); }) {
    request.set_key_bits(new_key.bits);
  }
  request.set_common_name(new_key.common_name);
  if (new_key.validity_days != 0) {
    request.mutable_certificate_validity()->set_seconds(std::int64_t{new_key.validity_days} * 86400);
  }
}

// `kid`, completed (see WholeKid), or for "" that of the key that signs now.
Result<std::string> KidOrSigning(Connection& connection, const std::string& client_id, const std::string& kid);

}  // namespace assertion::cli
