#pragma once

#include <string>

namespace assertion::cli {

// False: OpenBrowser does nothing.
bool HasDesktop();

// Opens the URL in the person's browser if there is a desktop. Other users can read it in the list of processes.
void OpenBrowser(const std::string& url);

}  // namespace assertion::cli
