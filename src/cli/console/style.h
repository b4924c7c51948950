#pragma once

namespace assertion::cli {

// The console's style sheet: system fonts, light and dark, from 360 px on.
extern const char* const kConsoleStyle;

}  // namespace assertion::cli
