#include "cli/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace assertion::cli {

bool WantsColour(bool is_terminal, const char* no_color, const char* term) {
  const bool refused = no_color != nullptr && *no_color != '\0';
  return is_terminal && !refused && term != nullptr && *term != '\0' && std::string_view(term) != "dumb";
}

bool TakesColour() { return WantsColour(IsTerminal(), std::getenv("NO_COLOR"), std::getenv("TERM")); }

bool IsTerminal() { return isatty(STDOUT_FILENO) == 1; }

}  // namespace assertion::cli
