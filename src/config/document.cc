#include "config/document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace assertion {
namespace {

constexpr std::size_t kMaxDepth = 32;

// Hands the parser one octet at a time and tells how far it has read.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* position, const char** reached) : position_(position), reached_(reached) {}

  reference operator*() const { return *position_; }
  Cursor& operator++() {
    ++position_;
    *reached_ = position_;
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
  const char** reached_;
};

// Builds the tree from the parser's events. Open containers are kept by value and moved into their parent at the end.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view text, const char* const* reached) : text_(text), reached_(reached) {}

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
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    // The exception's text without its own number and position: "[json.exception.parse_error.101] parse error at …: ".
    const std::string_view what = error.what();
    const auto colon = what.find(": ");
    return Refuse(std::string(colon == std::string_view::npos ? what : what.substr(colon + 2)));
  }

  const std::string& error() const { return error_; }
  Node TakeRoot() { return std::move(root_); }

 private:
  struct Container {
    Node node;
    std::string name;  // of the member that comes next
  };

  // The last octet read ends the token, or is the one after a number: newlines before it are the token's line.
  int Line() const {
    const auto read = std::min<std::size_t>(static_cast<std::size_t>(*reached_ - text_.data()), text_.size());
    return 1 + static_cast<int>(std::ranges::count(text_.substr(0, read == 0 ? 0 : read - 1), '\n'));
  }

  bool Refuse(const std::string& why) {
    error_ = std::to_string(Line()) + ": " + why;
    return false;
  }

  template <typename T>
  bool Add(T value) {
    return Place(Node{.value = std::move(value), .line = Line()});
  }

  bool Place(Node node) {
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

  std::string_view text_;
  const char* const* reached_;
  std::vector<Container> open_;
  Node root_;
  std::string error_;
};

}  // namespace

std::expected<Node, std::string> ParseDocument(std::string_view text) {
  const char* const begin = text.data();
  const char* reached = begin;
  Builder builder(text, &reached);
  const bool parsed =
      nlohmann::json::sax_parse(Cursor(begin, &reached), Cursor(begin + text.size(), &reached), &builder);
  if (!parsed) {
    return std::unexpected(builder.error());
  }
  return builder.TakeRoot();
}

}  // namespace assertion
