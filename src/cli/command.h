#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace assertion::cli {

// The options of assertionctl itself, and the exit status of the verb that ran.
struct Invocation {
  std::string server = "unix:/run/assertiond/assertiond.sock";
  int status = 0;
};

// What exit statuses mean.
using ExitStatuses = std::map<int, std::string>;

// The text of a verb's --help.
struct VerbHelp {
  const char* name;
  const char* summary;
  std::string examples;  // lines, each indented by two blanks
  // Below the examples. The initializer is for verbs that name none.
  std::string notes = {};  // NOLINT(readability-redundant-member-init)
  // Where they differ from those that each verb has, or each verb that calls a server.
  ExitStatuses statuses = {};  // NOLINT(readability-redundant-member-init)
};

// A verb that is being set up: where to add its flags, and the options that they fill.
template <typename Options>
struct Verb {
  CLI::App* flags;
  Options& options;
};

// A word of the command line that others can follow: assertionctl itself, a noun, or a verb with verbs beneath it.
//
// `assertionctl NOUN VERB` is in NOUN/VERB.cc: a struct of its options, a function that runs it, and an Add function
// (see verbs.h) with its flags and its help.
class Command {
 public:
  Command(CLI::App& app, Invocation& invocation) : app_(app), invocation_(invocation) {}

  Command AddNoun(const char* name, const char* summary);

  // `run` returns the exit status. The first form is for verbs that call a server.
  template <typename Options>
  Verb<Options> AddVerb(const VerbHelp& help, int (*run)(const Options& options, const std::string& server)) {
    const auto options = std::make_shared<Options>();
    return {
        Register(help, true, [&invocation = invocation_, options, run] { return run(*options, invocation.server); }),
        *options};
  }
  template <typename Options>
  Verb<Options> AddVerb(const VerbHelp& help, int (*run)(const Options& options)) {
    const auto options = std::make_shared<Options>();
    return {Register(help, false, [options, run] { return run(*options); }), *options};
  }

  // One of its verbs, to add verbs beneath it. A verb beneath runs in its place.
  Command Under(CLI::App& verb) const { return {verb, invocation_}; }
  CLI::App& app() const { return app_; }

 private:
  CLI::App* Register(const VerbHelp& help, bool asks_server, std::function<int()> run);

  CLI::App& app_;
  Invocation& invocation_;
};

}  // namespace assertion::cli
