#include "cli/key/flags.h"

#include <CLI/CLI.hpp>

#include "assertion/algorithm.h"
#include "cli/call.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/kid.h"

namespace assertion::cli {

void AddHsm(CLI::App* verb, std::string& label, const char* description) {
  verb->add_option("--hsm", label, description)->type_name("LABEL");
}

void AddInstant(CLI::App* verb, const char* name, std::optional<Time>& instant, ChangeFlags& change,
                const char* description) {
  const auto take = [name, &instant, &change](const std::string& text) {
    const auto time = ParseInstant(text, SystemTime());
    if (!time) {
      throw CLI::ValidationError(name, time.error().message);
    }
    instant = *time;
    change.instants_as_given.append(name).append("=").append(text).append(" ");
  };
  verb->add_option_function<std::string>(name, take, description)->type_name("TIME");
}

void AddAlgorithm(CLI::App* verb, NewKeyFlags& new_key) {
  verb->add_option("--algorithm", new_key.algorithm,
                   "JWS algorithm of the new key; default: the client's in the configuration")
      ->type_name("ALG:{" + AlgorithmNames() + "}");
}

std::array<CLI::Option*, 2> AddCertificateWishes(CLI::App* verb, NewKeyFlags& new_key) {
  return {
      verb->add_option("--common-name", new_key.common_name, "Common name of the certificate; default: the client id")
          ->type_name("CN"),
      verb->add_option("--validity-days", new_key.validity_days, "Validity of the certificate in days; default: 365")
          ->check(CLI::Range(1, 3650))};
}

void AddNewKey(CLI::App* verb, NewKeyFlags& new_key) {
  AddAlgorithm(verb, new_key);
  verb->add_option("--bits", new_key.bits, "Size of an RSA key in bits; default: 2048")
      ->check(OneOf({"2048", "3072", "4096"}));
  AddCertificateWishes(verb, new_key);
}

Result<std::string> KidOrSigning(Connection& connection, const std::string& client_id, const std::string& kid) {
  if (!kid.empty()) {
    return WholeKid(connection, client_id, kid);
  }
  v1::GetKeyRequest request;
  request.set_client_id(client_id);
  ASSIGN_OR_RETURN(const auto response, Ask(connection, &Connection::GetKey, request));
  return response.key().kid();
}

}  // namespace assertion::cli
