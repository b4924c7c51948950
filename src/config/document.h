#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace assertion {

// A JSON value with its line. The values of nlohmann/json have none, and silently keep the last of repeated members.
struct Node {
  struct Member;
  using Array = std::vector<Node>;
  using Object = std::vector<Member>;  // in order, with repeated names

  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value;
  int line = 0;
};

struct Node::Member {
  std::string name;
  Node value;
};

// Reads one JSON text (RFC 8259) of at most 500,000 values, nested 32 deep, in time linear in its length. The
// error is "LINE: reason".
std::expected<Node, std::string> ParseDocument(std::string_view text);

// The line of what a path such as `clients[2].tokens.audience` leads to, or of the nearest value above it that there
// is; 0: not even its first step is there.
int LineOf(const Node& root, std::string_view path);

}  // namespace assertion
