#pragma once

namespace CLI {
class Validator;
}

namespace assertion::cli {

// Takes any text but an empty one: a variable of the shell may be empty, which is not the same as no flag.
CLI::Validator NotEmpty();

}  // namespace assertion::cli
