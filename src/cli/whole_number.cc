#include "cli/whole_number.h"

#include <CLI/CLI.hpp>
#include <string>

namespace assertion::cli {

CLI::Validator WholeNumber() {
  const auto refuse = [](const std::string& word) -> std::string {
    const bool is_one = !word.empty() && word.find_first_not_of("0123456789") == std::string::npos;
    return is_one ? "" : "must be a whole number that is not negative, not \"" + word + "\"";
  };
  return {refuse, ""};
}

}  // namespace assertion::cli
