#pragma once

#include "cli/command.h"

namespace assertion::cli {

// Adds `evidence` to the noun `key`, and `evidence verify`, which needs no server.
void AddEvidenceVerb(CLI::App* noun, Options& options, int& status);

}  // namespace assertion::cli
