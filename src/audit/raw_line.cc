#include "audit/raw_line.h"

#include <limits>

#include "audit/line.h"

namespace assertion::audit {

std::optional<RawLine> ReadRawLine(std::istream& stream, std::string& buffer) {
  buffer.resize(kLongestLine + 2);
  stream.getline(buffer.data(), static_cast<std::streamsize>(buffer.size()));
  auto count = static_cast<std::size_t>(stream.gcount());
  if (count == 0 && !stream.good()) {
    return std::nullopt;
  }
  RawLine line;
  if (!stream.eof() && stream.fail()) {  // too long: the rest of it is skipped
    stream.clear();
    stream.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    line.ended = !stream.eof();
  } else if (stream.eof()) {
    line.ended = false;
  } else {
    --count;  // the line feed
  }
  line.text.assign(buffer.data(), count);
  return line;
}

}  // namespace assertion::audit
