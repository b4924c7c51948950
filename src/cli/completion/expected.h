#pragma once

#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace assertion::cli {

// A word that may be typed, and what it means.
struct Candidate {
  std::string word;
  std::string meaning;
};

// What may stand at the end of a command line that is being typed.
struct Expected {
  enum class Kind { kWords, kFiles, kClientIds, kKids };

  Kind kind = Kind::kWords;
  std::string before;            // what precedes the value within its word: "--kid=", or nothing
  std::string begun;             // the value as far as it is typed
  std::vector<Candidate> words;  // kWords: all that begin with it
  std::string server;            // --server and --client-id of the line; may be empty
  std::string client_id;
};

// `typed` are the words after "assertionctl"; the last is the one being typed, and may be empty. They are compared with
// the tree's words and never run.
Expected ExpectedAt(const CLI::App& root, std::span<const std::string> typed);

}  // namespace assertion::cli
