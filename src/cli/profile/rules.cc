#include "cli/profile/rules.h"

#include <string_view>
#include <utility>
#include <vector>

namespace assertion::cli {
namespace {

using nlohmann::ordered_json;

std::string_view AudienceFormName(AudienceForm form) {
  switch (form) {
    case AudienceForm::kString:
      return "string";
    case AudienceForm::kList:
      return "list";
    case AudienceForm::kEither:
      return "string or list";
    case AudienceForm::kNone:
      break;
  }
  return "none";
}

std::string Joined(const ordered_json& list) {
  std::string text;
  for (const auto& word : list) {
    text.append(text.empty() ? "" : ", ").append(word.get<std::string>());
  }
  return text.empty() ? "none" : text;
}

std::string ValueText(const ordered_json& value) {
  return value.is_array() ? Joined(value) : value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

ordered_json PresetJson(const Preset& preset) {
  const auto& profile = preset.profile;
  auto header = ordered_json::array();
  for (const auto member : profile.header) {
    header.push_back(NameOf(kHeaderMembers, member));
  }
  return {{"name", profile.name},
          {"title", preset.title},
          {"rules", preset.rules},
          {"source",
           {{"document", preset.source.document},
            {"section", preset.source.section},
            {"date", preset.source.date},
            {"url", preset.source.url}}},
          {"typ", profile.typ},
          {"kid", NameOf(kKidForms, profile.kid)},
          {"header", header},
          {"issuer", profile.issuer},
          {"subject", profile.subject},
          {"aud", AudienceFormName(preset.audience_form)},
          {"audiences", preset.audience.wanted},
          {"client_id", preset.client_id.wanted},
          {"algorithms", preset.algorithms},
          {"default_lifetime", std::to_string(preset.default_lifetime.count()) + "s"},
          {"max_lifetime", std::to_string(preset.max_lifetime.count()) + "s"},
          {"backdate", std::to_string(profile.backdate.count()) + "s"},
          {"nbf", profile.nbf},
          {"jti", NameOf(kJtiForms, profile.jti)},
          {"grant", NameOf(kGrants, profile.grant)},
          {"scopes", profile.scopes},
          {"may_differ", preset.overrides},
          {"must_be_set", preset.required}};
}

std::string PresetText(const Preset& preset) {
  constexpr std::size_t kWidth = 18;
  std::string text;
  const auto add = [&text](std::string name, std::string_view value) {
    name.resize(kWidth, ' ');
    text.append(name).append(value.empty() ? "none" : value).append(1, '\n');
  };
  const auto json = PresetJson(preset);
  for (const auto& [name, value] : json.items()) {
    if (name != "source") {
      add(name, ValueText(value));
    }
  }
  add("source", std::string(preset.source.document) + "; " + std::string(preset.source.section) + "; " +
                    std::string(preset.source.date));
  add("", preset.source.url);
  return text;
}

}  // namespace assertion::cli
