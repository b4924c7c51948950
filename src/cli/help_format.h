#pragma once

#include <memory>

namespace CLI {
class FormatterBase;
}

namespace assertion::cli {

// The form of --help: CLI11's, but what an option takes is told without the names of CLI11's types and checks.
std::shared_ptr<CLI::FormatterBase> HelpFormat();

}  // namespace assertion::cli
