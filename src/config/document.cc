#include "config/document.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "assertion/foreign_text.h"
#include "config/text.h"

namespace assertion {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMostOfSyntaxError = 200;  // octets of the reason
constexpr std::size_t kMaxValues = 500'000;      // each takes about 80 octets

// The parser's position.
struct Reached {
  int lines = 0;  // ended before the last octet read
  char last = ' ';
};

// Gives the parser one octet at a time and tracks its position.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* position, Reached* reached) : position_(position), reached_(reached) {}

  reference operator*() const { return *position_; }
  Cursor& operator++() {
    reached_->lines += reached_->last == '\n' ? 1 : 0;
    reached_->last = *position_++;
    return *this;
  }
  Cursor operator++(int) {
    auto before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) { return a.position_ == b.position_; }

 private:
  const char* position_;
  Reached* reached_;
};

// What people write from habit and JSON has not, in plain words.
struct Habit {
  std::string_view why;
  std::size_t at = 0;  // its octet in the text
};

constexpr std::string_view kBlank = " \t\r\n";

// The value at whose end the parser gave up, a text or the begin of a container, follows another without a comma.
std::optional<Habit> FindMissingComma(std::string_view text, std::size_t at) {
  auto begin = at;
  const auto is_escaped = [&](std::size_t quote) {
    const auto other = text.find_last_not_of('\\', quote - 1);
    return (quote - 1 - (other == std::string_view::npos ? 0 : other)) % 2 == 1;
  };
  if (text[at] == '"') {
    do {
      begin = begin == 0 ? std::string_view::npos : text.rfind('"', begin - 1);
    } while (begin != std::string_view::npos && begin != 0 && is_escaped(begin));
  } else if (text[at] != '{' && text[at] != '[') {
    return std::nullopt;
  }
  if (begin == std::string_view::npos || begin == 0) {
    return std::nullopt;
  }
  const auto before = text.find_last_not_of(kBlank, begin - 1);
  return before == std::string_view::npos || std::string_view(",:[{").contains(text[before])
             ? std::nullopt
             : std::optional(Habit{.why = "a comma is missing after this", .at = before});
}

// `read`: how many octets the parser had read when it gave up. `what`: its reason.
std::optional<Habit> FindHabit(std::string_view text, std::size_t read, std::string_view what) {
  if (read == 0 || read > text.size()) {
    return std::nullopt;
  }
  const auto at = read - 1;
  const auto next = text.substr(read, 1);
  if (text[at] == '#' || (text[at] == '/' && (next == "/" || next == "*"))) {
    return Habit{.why = "JSON has no comments: remove it", .at = at};
  }
  if (text[at] == '\'') {
    return Habit{.why = "JSON has text between double quotes, not single ones", .at = at};
  }
  const auto before = at == 0 ? std::string_view::npos : text.find_last_not_of(kBlank, at - 1);
  if ((text[at] == ']' || text[at] == '}') && before != std::string_view::npos && text[before] == ',') {
    return Habit{.why = "nothing follows this comma: remove it", .at = before};
  }
  return what.contains("expected '}'") || what.contains("expected ']'") ? FindMissingComma(text, at) : std::nullopt;
}

// Builds the tree from the parser's events. Open containers are kept by value and moved into their parent at the end.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view text, const Reached& reached) : text_(text), reached_(reached) {}

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(static_cast<std::int64_t>(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    return value <= INT64_MAX ? Add(static_cast<std::int64_t>(value)) : Add(static_cast<double>(value));
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override { return Open(Node::Object()); }
  bool start_array(std::size_t /*size*/) override { return Open(Node::Array()); }
  bool key(string_t& value) override {
    open_.back().name = std::move(value);
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    if (const auto habit = FindHabit(text_, position, error.what())) {
      const auto line = 1 + std::ranges::count(text_.substr(0, habit->at), '\n');
      error_ = std::to_string(line) + ": " + std::string(habit->why);
      return false;
    }
    // Drops the exception's number and position, "[json.exception.parse_error.101] parse error at …: ", and the text
    // that was read last, which may be long or a PIN.
    std::string_view what = error.what();
    if (const auto colon = what.find(": "); colon != std::string_view::npos) {
      what.remove_prefix(colon + 2);
    }
    return Refuse(Shown(what.substr(0, what.find("; last read: ")), kMostOfSyntaxError));
  }

  const std::string& error() const { return error_; }
  Node TakeRoot() { return std::move(root_); }

 private:
  struct Container {
    Node node;
    std::string name;  // the name of the next member
  };

  // The last octet read ends the token, or follows a number, so the newlines before it give the token's line.
  int Line() const { return 1 + reached_.lines; }

  bool Refuse(const std::string& why) {
    error_ = std::to_string(Line()) + ": " + why;
    return false;
  }

  template <typename T>
  bool Add(T value) {
    return Place(Node{.value = std::move(value), .line = Line()});
  }

  bool Place(Node node) {
    if (++values_ > kMaxValues) {
      return Refuse("more than " + std::to_string(kMaxValues) + " values");
    }
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (auto& parent = open_.back(); auto* object = std::get_if<Node::Object>(&parent.node.value)) {
      object->push_back({.name = std::move(parent.name), .value = std::move(node)});
    } else {
      std::get<Node::Array>(parent.node.value).push_back(std::move(node));
    }
    return true;
  }

  template <typename T>
  bool Open(T container) {
    if (open_.size() == kMaxDepth) {
      return Refuse("nested too deeply");
    }
    open_.push_back({.node = {.value = std::move(container), .line = Line()}, .name = {}});
    return true;
  }

  bool Close() {
    auto node = std::move(open_.back().node);
    open_.pop_back();
    return Place(std::move(node));
  }

  const std::string_view text_;
  const Reached& reached_;
  std::size_t values_ = 0;
  std::vector<Container> open_;
  Node root_;
  std::string error_;
};

// Null: `node` has no such member or element. `step`: a name, or an index after its opening bracket.
const Node* Below(const Node& node, std::string_view step) {
  if (step.starts_with('[')) {
    const auto* const array = std::get_if<Node::Array>(&node.value);
    std::size_t index = 0;
    const auto read = std::from_chars(step.data() + 1, step.data() + step.size(), index);
    return array != nullptr && read.ec == std::errc() && index < array->size() ? &(*array)[index] : nullptr;
  }
  const auto* const members = std::get_if<Node::Object>(&node.value);
  if (members == nullptr) {
    return nullptr;
  }
  const auto member = std::ranges::find(*members, step, &Node::Member::name);
  return member == members->end() ? nullptr : &member->value;
}

}  // namespace

std::expected<Node, std::string> ParseDocument(std::string_view text) {
  // nlohmann's parser takes a NUL for the end of the text: what follows would not count, but be read by a person.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    return std::unexpected(std::to_string(1 + std::ranges::count(text.substr(0, nul), '\n')) +
                           ": an octet NUL, which JSON does not have: save the file as UTF-8");
  }
  const char* const begin = text.data();
  Reached reached;
  Builder builder(text, reached);
  const bool parsed =
      nlohmann::json::sax_parse(Cursor(begin, &reached), Cursor(begin + text.size(), &reached), &builder);
  if (!parsed) {
    return std::unexpected(builder.error());
  }
  return builder.TakeRoot();
}

int LineOf(const Node& root, std::string_view path) {
  const Node* found = nullptr;
  for (const auto* next = &root; next != nullptr && !path.empty();) {
    path.remove_prefix(path.front() == '.' ? 1 : 0);
    const auto end = std::min(path.find_first_of(".[", 1), path.size());
    next = Below(*next, path.substr(0, end));
    found = next == nullptr ? found : next;
    path.remove_prefix(end);
  }
  return found == nullptr ? 0 : found->line;
}

}  // namespace assertion
