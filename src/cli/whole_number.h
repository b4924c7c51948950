#pragma once

namespace CLI {
class Validator;
}

namespace assertion::cli {

// Takes a whole number that is not negative.
CLI::Validator WholeNumber();

}  // namespace assertion::cli
