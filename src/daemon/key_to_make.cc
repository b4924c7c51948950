#include "daemon/key_to_make.h"

#include <spdlog/spdlog.h>

#include <string>

namespace assertion {

// An error says nothing here: the next step meets it, too.
void LogKeyToMake(Token& token, std::string_view token_label, std::string_view label, std::string_view use) {
  if (const auto contents = token.Read({std::string(label)}); contents && contents->keys.empty()) {
    spdlog::info("making the key that {} on token '{}'; this may take a minute", use, token_label);
  }
}

}  // namespace assertion
