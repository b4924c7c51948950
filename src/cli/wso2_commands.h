#pragma once

#include "assertion/error.h"
#include "cli/command.h"
#include "cli/wso2.h"

namespace assertion::cli {

// The options that say which application of WSO2 Identity Server to change, and the application that they name.
void AddWso2Options(CLI::App* verb, Options& options);
Result<Wso2Application> Wso2ApplicationOf(const Options& options);

// Says what is wrong with those options, or what a call to the application ended with; returns the exit status.
int ReportWso2Options(const Error& error);
int ReportWso2(const Error& error);

}  // namespace assertion::cli
