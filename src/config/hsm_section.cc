#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "assertion/token_uri.h"
#include "config/sections.h"

namespace assertion {
namespace {

// One URI, or a list of URIs.
std::vector<std::string> TakeUris(Fields& fields) {
  constexpr std::size_t kMost = 8;
  const auto* node = fields.Take("hsm", true);
  if (node == nullptr) {
    return {};
  }
  if (const auto* text = std::get_if<std::string>(&node->value); text != nullptr) {
    return {*text};
  }
  auto texts = fields.TakeStrings("hsm", true);
  if (texts.empty() || texts.size() > kMost) {
    fields.Refuse("hsm", "must be one PKCS#11 URI, or a list of 1 to 8");
  }
  return texts;
}

std::string Labels(const std::vector<TokenUri>& hsms) {
  std::string labels;
  for (const auto& uri : hsms) {
    labels.append(labels.empty() || uri.token_label().empty() ? "" : ", ").append(uri.token_label());
  }
  return labels;
}

}  // namespace

void ReadHsms(Fields& fields, Config& config) {
  const auto texts = TakeUris(fields);
  for (auto text = texts.begin(); text != texts.end(); ++text) {
    auto parsed = TokenUri::Parse(*text);
    if (!parsed) {
      fields.Refuse("hsm", parsed.error().message);
    } else if (std::find(texts.begin(), text, *text) != text) {
      fields.Refuse("hsm", "must not name one HSM twice");
    } else {
      config.hsms.push_back(std::move(*parsed));
    }
  }
}

void ReadSessions(Fields& fields, Config& config) {
  constexpr std::int64_t kMost = 256;
  if (const auto sessions = fields.TakeCount("sessions", 1, kMost)) {
    config.sessions = static_cast<std::size_t>(*sessions);
  }
}

std::string TakeHsmName(Fields& section, const Config& config) {
  const auto* name = section.TakeString("hsm", false);
  if (name == nullptr || config.hsms.empty()) {  // with no HSM, the field hsm at the top is refused already
    return {};
  }
  const auto matching = std::ranges::count(config.hsms, *name, &TokenUri::token_label);
  if (name->empty() || matching == 0) {
    const auto labels = Labels(config.hsms);
    section.Refuse("hsm", "must be the token attribute of one of the URIs in the field hsm at the top" +
                              (labels.empty() ? ", none of which has it" : ": " + labels));
  } else if (matching > 1) {
    section.Refuse("hsm", "several URIs in the field hsm at the top have this token attribute");
  }
  return *name;
}

}  // namespace assertion
