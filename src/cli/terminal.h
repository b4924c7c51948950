#pragma once

namespace assertion::cli {

// Whether a stream takes colours: a terminal that can show them, whose user did not set NO_COLOR (https://no-color.org)
// to something. `no_color` and `term` are those environment variables; null: unset.
bool WantsColour(bool is_terminal, const char* no_color, const char* term);

// The same for standard output.
bool TakesColour();

// Whether a person reads standard output.
bool IsTerminal();

}  // namespace assertion::cli
