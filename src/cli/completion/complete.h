#pragma once

#include <span>
#include <string>

namespace CLI {
class App;
}

namespace assertion::cli {

// `assertionctl complete WORD...`, which the scripts of `assertionctl completion` run: prints what may stand in place
// of the last WORD, one a line, with its meaning behind a tab; ":files" alone asks the shell for names of files. Client
// ids and kids come from the server at the line's --server, else at `server`. A server that does not answer within a
// second gives none. Never prompts, and prints nothing on standard error. Returns the exit status.
int Complete(const CLI::App& root, const std::string& server, std::span<const char* const> words);

}  // namespace assertion::cli
