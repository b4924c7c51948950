#pragma once

#include <istream>
#include <optional>
#include <string>

namespace assertion::audit {

// A line as it stands in a file of a log, without its line feed.
struct RawLine {
  std::string text;
  bool ended = true;  // with a line feed
};

// Reads the next line. Of one longer than kLongestLine only the beginning is kept, which is still too long for
// ParseLine. `buffer` is kept from one call to the next. Nothing: the stream has no more.
std::optional<RawLine> ReadRawLine(std::istream& stream, std::string& buffer);

}  // namespace assertion::audit
