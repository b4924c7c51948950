#include "cli/wso2/flags.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "cli/bearer_token.h"
#include "cli/flags.h"
#include "cli/output.h"

namespace assertion::cli {

void AddWso2Flags(CLI::App* verb, Wso2Flags& flags) {
  verb->add_option("--application", flags.application, "Id of the application at WSO2, which is not its client id")
      ->required()
      ->type_name("APP-ID");
  verb->add_option("--base-url", flags.base_url,
                   "WSO2's address: https://host:port, or with a path that ends with /api/server/v1 (http:// for "
                   "loopback hosts only)")
      ->required()
      ->type_name("URL");
  verb->add_option("--token-file", flags.token_file,
                   "File of mode 0600 with an access token that has the scopes internal_application_mgt_view and "
                   "internal_application_mgt_update")
      ->required()
      ->type_name("FILE");
  AddCaFile(verb, flags.ca_file);
}

Result<Wso2Application> Wso2ApplicationOf(const Wso2Flags& flags, const std::string& client_id) {
  ASSIGN_OR_RETURN(auto token, ReadBearerToken(flags.token_file));
  return Wso2Application::New({.base_url = flags.base_url,
                               .ca_file = flags.ca_file,
                               .token = std::move(token),
                               .application = flags.application,
                               .client_id = client_id});
}

int ReportWso2Flags(const Error& error) {
  return error.code == Code::kInvalidArgument ? Report(kUsage, error.message, "assertionctl wso2 publish --help")
                                              : ReportFile(error);
}

int ReportWso2(const Error& error) {
  return Report(error.code == Code::kUnavailable ? kUnreachable : kRefusedByIdentityServer, error.message,
                Wso2Remedy(error));
}

}  // namespace assertion::cli
