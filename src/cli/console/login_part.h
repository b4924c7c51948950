#pragma once

#include <string>
#include <vector>

#include "cli/console/session.h"
#include "cli/console/trial.h"
#include "cli/oidc/login_request.h"
#include "oauth/form.h"

namespace assertion::cli {

// The fields of a trial log-in among others.
oauth::FormFields LoginFields(const oauth::FormFields& fields);

LoginRequest LoginRequestOf(const oauth::FormFields& fields);

// The form, filled with the fields.
std::string LoginForm(const oauth::FormFields& fields, const ConsoleSession& session);

// The command that does the same in a terminal; empty until the fields are filled.
std::string LoginCommand(const oauth::FormFields& fields, const std::string& server, const std::string& ca_file);

// Where a trial stands: the link to the provider, or what it did.
std::string TrialPart(const TrialState& state, const ConsoleSession& session);

// Words as one line for a POSIX shell.
std::string ShellLine(const std::vector<std::string>& words);

}  // namespace assertion::cli
