#include "cli/completion/complete.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <vector>

#include "cli/completion/expected.h"
#include "cli/connection.h"
#include "cli/key/key_text.h"
#include "cli/output.h"

namespace assertion::cli {
namespace {

constexpr unsigned kPatienceSeconds = 1;

// Bounds all that a server may delay, the connection as well as the call.
void EndInTime() {
  struct sigaction ending{};
  ending.sa_handler = [](int) { _exit(0); };
  sigaction(SIGALRM, &ending, nullptr);
  alarm(kPatienceSeconds);
}

// A server's word goes on the line of a shell: only characters that no shell interprets may.
bool IsPlain(const std::string& word) {
  return !word.empty() && std::ranges::all_of(word, [](unsigned char octet) {
    return (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') || (octet >= 'a' && octet <= 'z') ||
           std::string_view("-_./:@%+,").contains(static_cast<char>(octet));
  });
}

// The scripts read a line that begins with a colon as a directive.
bool IsDirective(const std::string& word) { return word.starts_with(':'); }

class Offers {
 public:
  explicit Offers(const Expected& expected) : expected_(expected) {}

  void Add(const std::string& word, const std::string& meaning) {
    const bool reads_as_option = expected_.before.empty() && word.starts_with('-');
    if (IsPlain(word) && !IsDirective(word) && !reads_as_option && word.starts_with(expected_.begun) &&
        seen_.insert(word).second) {
      words_.push_back({.word = word, .meaning = meaning});
    }
  }

  std::vector<Candidate> Take() { return std::move(words_); }

 private:
  const Expected& expected_;
  std::set<std::string> seen_;
  std::vector<Candidate> words_;
};

std::vector<Candidate> AskServer(const Expected& expected, const std::string& server) {
  EndInTime();
  auto connection = Connection::Open(expected.server.empty() ? server : expected.server);
  const auto list = connection ? connection->ListKeys({}) : std::unexpected(connection.error());
  Offers offers(expected);
  if (!list) {
    return {};
  }
  if (expected.kind == Expected::Kind::kClientIds) {
    for (const auto& [client_id, version] : list->versions()) {
      offers.Add(client_id, "");
    }
  }
  for (const auto& key : list->keys()) {
    if (expected.kind == Expected::Kind::kClientIds) {
      offers.Add(key.client_id(), "");
    } else if (expected.client_id.empty() || key.client_id() == expected.client_id) {
      offers.Add(key.kid(), IsPlain(key.client_id()) ? "key of " + key.client_id() : "");
    }
  }
  return offers.Take();
}

}  // namespace

int Complete(const CLI::App& root, const std::string& server, std::span<const char* const> words) {
  const std::vector<std::string> typed(words.begin(), words.end());
  auto expected = ExpectedAt(root, typed);
  if (expected.kind == Expected::Kind::kFiles) {
    return Write("", ":files\n");
  }
  if (expected.kind != Expected::Kind::kWords) {
    expected.words = AskServer(expected, server);
  }
  std::string text;
  for (const auto& [word, meaning] : expected.words) {
    text += expected.before + word + (meaning.empty() ? "" : "\t" + meaning) + "\n";
  }
  return WriteOctets("", text);
}

}  // namespace assertion::cli
