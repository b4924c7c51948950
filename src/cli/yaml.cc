#include "cli/yaml.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cli/text.h"

namespace assertion::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kStep = 2;

DocumentForm& ChosenForm() {
  static auto form = DocumentForm::kJson;
  return form;
}

// JSON's scalars are YAML's. Other servers' texts need not be UTF-8.
std::string Scalar(const ordered_json& value) {
  return PrintableJson(value.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

// Names such as client_id stand without quotes. "yes", "no" and their kind are truth values of YAML 1.1.
std::string NameText(const std::string& name) {
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  constexpr std::array<std::string_view, 9> kWords = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  const bool plain =
      !name.empty() && std::ranges::all_of(name, is_plain) && std::ranges::find(kWords, name) == kWords.end();
  return plain ? name : Scalar(name);
}

bool IsBlock(const ordered_json& value) { return value.is_structured() && !value.empty(); }

// The lines of `value`; the first is not indented, because the dash of a list may stand before it.
// NOLINTNEXTLINE(misc-no-recursion): documents are ours and shallow
std::string Block(const ordered_json& value, std::size_t indent) {
  if (!IsBlock(value)) {
    return Scalar(value) + '\n';
  }
  std::string text;
  for (const auto& [name, member] : value.items()) {
    text.append(text.empty() ? 0 : indent, ' ');
    if (value.is_array()) {
      text.append("- ").append(Block(member, indent + kStep));
    } else if (IsBlock(member)) {
      text.append(NameText(name)).append(":\n").append(indent + kStep, ' ').append(Block(member, indent + kStep));
    } else {
      text.append(NameText(name)).append(": ").append(Scalar(member)).append("\n");
    }
  }
  return text;
}

}  // namespace

std::string YamlText(const ordered_json& document) { return Block(document, 0); }

void SetDocumentForm(DocumentForm form) { ChosenForm() = form; }

DocumentForm CurrentDocumentForm() { return ChosenForm(); }

std::string DocumentLine(const ordered_json& document) {
  return CurrentDocumentForm() == DocumentForm::kYaml ? "---\n" + YamlText(document) : Scalar(document) + '\n';
}

}  // namespace assertion::cli
