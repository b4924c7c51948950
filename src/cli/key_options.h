#pragma once

#include "cli/command.h"

namespace CLI {
class Option;
}

namespace assertion::cli {

// Options that several verbs of `assertionctl key` have, and the parts of requests that they fill.

void AddRequiredKid(CLI::App* verb, Options& options);
CLI::Option* AddDefaultedKid(CLI::App* verb, Options& options);

void AddHsm(CLI::App* verb, Options& options, const char* description);

void AddNewKey(CLI::App* verb, NewKeyOptions& new_key);

void AddRequestId(CLI::App* verb, ChangeOptions& change);

// `forcing` says what --force goes through with; null where there is nothing to force.
void AddChange(CLI::App* verb, ChangeOptions& change, const char* forcing);

// A moment in the form that ParseInstant reads.
void AddInstant(CLI::App* verb, const char* name, std::optional<Time>& instant, const char* description);

template <typename Request>
void FillNewKey(const NewKeyOptions& new_key, Request& request) {
  request.set_algorithm(new_key.algorithm);
  request.set_key_bits(new_key.bits);
  request.set_common_name(new_key.common_name);
  if (new_key.validity_days != 0) {
    request.mutable_certificate_validity()->set_seconds(std::int64_t{new_key.validity_days} * 86400);
  }
}

}  // namespace assertion::cli
