#pragma once

namespace assertion::cli {

// The console's style sheet: system fonts, light and dark, from 360 px on.
extern const char* const kConsoleStyle;

// Its address below the session's place.
inline constexpr const char* kStylePath = "style.css";

}  // namespace assertion::cli
