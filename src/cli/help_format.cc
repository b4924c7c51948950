#include "cli/help_format.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>
#include <string>
#include <string_view>

namespace assertion::cli {
namespace {

// "json|yaml" of "FORM:{json, yaml}".
std::string OptionChoicesText(std::string_view choices) {
  std::string text;
  for (const char c : choices) {
    text += c == ',' ? "|" : c == ' ' ? "" : std::string(1, c);
  }
  return text;
}

// What the option takes, from CLI11's name of its type, which the names of its checks follow: "FORM:{json,yaml}",
// "N:INT in [1 - 3650]", "FILE:FILE", "UINT".
std::string OptionValueText(std::string type) {
  constexpr std::string_view kIn = " in [";
  const auto opened = type.find('{');
  const auto closed = type.find('}');
  if (opened < closed && closed != std::string::npos) {
    return OptionChoicesText(std::string_view(type).substr(opened + 1, closed - opened - 1));
  }
  std::string range;
  if (const auto in = type.find(kIn); in != std::string::npos) {
    range = " (" + type.substr(in + kIn.size(), type.find(']') - in - kIn.size()) + ")";
    range.replace(range.find(" - "), 3, " to ");
    type.resize(in);
  }
  if (const auto check = type.find(':'); check != std::string::npos && type.compare(check, 2, ":/") != 0) {
    type.resize(check);  // not of unix:/PATH
  }
  return (type == "INT" || type == "UINT" ? "N" : type) + range;
}

std::string OptionNamesOf(const char* relation, const std::set<CLI::Option*>& others) {
  std::string text;
  for (const auto* other : others) {
    text += (text.empty() ? relation : ", ") + other->get_name();
  }
  return text;
}

class OptionFormat : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text;
    if (option->get_type_size() != 0) {
      const auto value = OptionValueText(option->get_type_name());  // empty: of a flag
      text += (value.empty() ? "" : " ") + value;
      text += option->get_expected_max() > 1 && !text.ends_with("...") ? " ..." : "";
    }
    text += option->get_required() ? " (required)" : "";
    text += option->get_default_str().empty() ? "" : " (default: " + option->get_default_str() + ")";
    text += OptionNamesOf(" (with ", option->get_needs());
    text += option->get_needs().empty() ? "" : ")";
    text += OptionNamesOf(" (not with ", option->get_excludes());
    return text + (option->get_excludes().empty() ? "" : ")");
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> HelpFormat() {
  auto format = std::make_shared<OptionFormat>();
  constexpr std::size_t kColumn = 30;
  format->column_width(kColumn);
  return format;
}

}  // namespace assertion::cli
