#pragma once

#include <string>

#include "assertion/error.h"
#include "cli/wso2/application.h"

namespace CLI {
class App;
}

namespace assertion::cli {

// Flags that say which application of WSO2 Identity Server to change.
struct Wso2Flags {
  std::string application;
  std::string base_url;
  std::string token_file;
  std::string ca_file;
};

void AddWso2Flags(CLI::App* verb, Wso2Flags& flags);

// The application that they name, which must belong to the client.
Result<Wso2Application> Wso2ApplicationOf(const Wso2Flags& flags, const std::string& client_id);

// Says what is wrong with those flags, or what a call to the application ended with; returns the exit status.
int ReportWso2Flags(const Error& error);
int ReportWso2(const Error& error);

}  // namespace assertion::cli
