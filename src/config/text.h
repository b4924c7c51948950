#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace assertion {

// The first character that is white space, a control or cannot be seen (a zero-width space, a BOM), or octet that is no
// UTF-8, as "\x0a" and where it stands; nothing when each can be seen.
std::optional<std::string> FindInvisible(std::string_view text);

// `text` cut to `most` octets, with all but visible ASCII and blanks as \xNN: it cannot steer a terminal or forge a
// line of a log.
std::string Shown(std::string_view text, std::size_t most);

// With the letters of ASCII in lower case.
std::string LowerCase(std::string_view text);

// "; did you mean X?" with the one of `words` that is nearest to `text`, in any case; empty when none is near.
std::string DidYouMean(std::string_view text, std::span<const std::string_view> words);

}  // namespace assertion
