#include "cli/not_empty.h"

#include <CLI/CLI.hpp>
#include <string>

namespace assertion::cli {

CLI::Validator NotEmpty() {
  return {[](const std::string& text) { return text.empty() ? "must not be empty" : ""; }, ""};
}

}  // namespace assertion::cli
