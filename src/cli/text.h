#pragma once

#include <string>
#include <string_view>

#include "assertion/clock.h"
#include "assertion/error.h"

namespace assertion::cli {

using assertion::Rfc3339;

// The distance of `time` from now in words, for example "in 4 min", "364 days ago".
std::string Relative(Time time, Time now);

// Text from elsewhere with '?' in place of control characters, and of those that reorder or hide text, so that it
// cannot steer a terminal or look like another text.
std::string Printable(std::string_view text);

// JSON with such characters escaped, so that it says the same. White space between its tokens stays, a carriage
// return as a blank.
std::string PrintableJson(std::string_view json);

// As Printable, but newlines and tabulators stay.
std::string PrintableLines(std::string_view text);

// A file's content; standard input for "" and "-". At most 1 MiB.
Result<std::string> ReadText(const std::string& path);

// The same without newlines at the end.
Result<std::string> ReadLine(const std::string& path);

// Writes to the file, or to standard output for "".
Status WriteText(const std::string& path, std::string_view text);

}  // namespace assertion::cli
