// assertionctl: the command line of assertiond. Nouns and verbs; each noun is a file of its own.

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "cli/command.h"

namespace {

constexpr const char* kFooter = R"(Exit status:
  0  done
  1  the server, doctor, inspect or evidence verify or audit verify said no
  2  wrong command line
  3  a file or the configuration is wrong, or cannot be read
  4  the server cannot be reached
  5  the identity server refused

Examples:
  assertionctl key generate --client-id orders
  assertionctl key list
  assertionctl certificate get --client-id orders --out orders.pem
  assertionctl wso2 publish --client-id orders --application 394b8adc-… --base-url https://localhost:9443 \
    --token-file token
  assertionctl assertion create --client-id orders
  assertionctl token request --client-id orders --token-endpoint https://localhost:9443/oauth2/token)";

}  // namespace

int main(int argc, char** argv) {
  for (const char* name : {"PKCS11_PROVIDER_MODULE", "PKCS11_PROVIDER_DEBUG", "PKCS11_MODULE_PATH"}) {
    unsetenv(name);  // they would override which module OpenSSL's provider loads
  }
  CLI::App app("assertionctl talks to assertiond: assertions, certificates, keys.");
  app.set_version_flag("--version", "assertionctl " ASSERTION_VERSION);
  app.footer(kFooter);
  app.require_subcommand(1);
  assertion::cli::Options options;
  int status = 0;
  app.add_option("--server", options.server,
                 "assertiond's address; default: $ASSERTIOND_SERVER, else " + options.server)
      ->envname("ASSERTIOND_SERVER")
      ->type_name("unix:/PATH");
  assertion::cli::AddAssertionNoun(app, options, status);
  assertion::cli::AddMaterialNouns(app, options, status);
  assertion::cli::AddKeyNoun(app, options, status);
  assertion::cli::AddTokenNoun(app, options, status);
  assertion::cli::AddWso2Noun(app, options, status);
  assertion::cli::AddTlsNoun(app, options, status);
  assertion::cli::AddAuditNoun(app, options, status);
  assertion::cli::AddDoctor(app, options, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : assertion::cli::kUsage;
  }
  return status;
}
