#include "cli/key_options.h"

#include <CLI/CLI.hpp>

#include "assertion/algorithm.h"
#include "cli/instant.h"

namespace assertion::cli {
namespace {

CLI::Option* AddKid(CLI::App* verb, Options& options, const char* description) {
  return verb->add_option("--kid", options.kid, description)->type_name("KID");
}

}  // namespace

void AddRequiredKid(CLI::App* verb, Options& options) {
  AddKid(verb, options, "The key; one that begins with a hyphen as --kid=-…")->required();
}

CLI::Option* AddDefaultedKid(CLI::App* verb, Options& options) {
  return AddKid(verb, options, "The key; one that begins with a hyphen as --kid=-…; default: the key that signs now");
}

void AddHsm(CLI::App* verb, Options& options, const char* description) {
  verb->add_option("--hsm", options.hsm, description)->type_name("LABEL");
}

void AddNewKey(CLI::App* verb, NewKeyOptions& new_key) {
  verb->add_option("--algorithm", new_key.algorithm, AlgorithmNames() + "; default: the client's in the configuration")
      ->type_name("ALG");
  verb->add_option("--bits", new_key.bits, "Of an RSA key: 2048 (default), 3072 or 4096")
      ->check(CLI::IsMember({2048, 3072, 4096}));
  verb->add_option("--common-name", new_key.common_name, "Of the certificate; default: the client id")->type_name("CN");
  verb->add_option("--validity-days", new_key.validity_days, "Of the certificate; default 365")
      ->check(CLI::Range(1, 3650));
}

void AddRequestId(CLI::App* verb, ChangeOptions& change) {
  verb->add_option("--request-id", change.request_id,
                   "Names this request, at most 64 characters: repeated under its id it does not act twice; "
                   "default: none")
      ->type_name("ID");
}

void AddChange(CLI::App* verb, ChangeOptions& change, const char* forcing) {
  verb->add_option("--expected-version", change.expected_version,
                   "Only if the client's keys are at this version (key list --json tells it); default: whatever it is "
                   "now")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  AddRequestId(verb, change);
  if (forcing != nullptr) {
    verb->add_option("--force", change.force_client_id, std::string("The client id once more: ") + forcing)
        ->type_name("CLIENT-ID");
  }
}

void AddInstant(CLI::App* verb, const char* name, std::optional<Time>& instant, const char* description) {
  const auto take = [name, &instant](const std::string& text) {
    const auto time = ParseInstant(text, SystemTime());
    if (!time) {
      throw CLI::ValidationError(name, time.error().message);
    }
    instant = *time;
  };
  verb->add_option_function<std::string>(name, take, description)->type_name("TIME");
}

}  // namespace assertion::cli
