#pragma once

#include <optional>
#include <string>

#include "assertion/error.h"
#include "cli/entrance_file.h"

namespace assertion::cli {

// Opens the address in the person's browser, by way of a file: other users can read the browser's command line. The
// file must stay until the browser has read it. Nothing: there is no desktop.
Result<std::optional<EntranceFile>> OpenBrowser(const std::string& address);

}  // namespace assertion::cli
