#pragma once

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include "assertion/profile.h"

namespace assertion {

// The form that a party requires of a text; used for warnings only.
struct TextShape {
  bool (*fits)(std::string_view text);
  std::string_view wanted;
};

enum class AudienceForm { kString, kList, kEither, kNone };

// The rules of one identity server or API, as it has published them.
struct Preset {
  Profile profile;  // the values where the configuration names none
  std::string_view title;
  struct Source {
    std::string_view document;
    std::string_view section;
    std::string_view date;  // of the document; "read 2026-11" where it has none
    std::string_view url;
  } source;
  std::string_view rules;  // what the party asks for, for `assertionctl profile show`
  AudienceForm audience_form = AudienceForm::kEither;
  TextShape audience;
  TextShape client_id;
  std::vector<std::string_view> algorithms;  // the default first
  std::chrono::seconds default_lifetime{300};
  std::chrono::seconds max_lifetime{300};            // the party refuses more
  std::vector<std::string_view> overrides;           // fields of a client that may differ from `profile`
  std::vector<std::string_view> required = {};       // fields of a client that must be set; "subject" may be `subjects`
  bool certificate_has_kid = true;                   // false: it finds no uploaded certificate by a kid
  std::string_view resource_parameter = "resource";  // of its token request, as TokenSource::resource_parameter

  bool Allows(std::string_view field) const {
    return std::ranges::find(overrides, field) != overrides.end() || Requires(field);
  }
  bool Requires(std::string_view field) const { return std::ranges::find(required, field) != required.end(); }
};

// The default first.
std::span<const Preset> Presets();

// Null when there is none of this name.
const Preset* FindPreset(std::string_view name);

}  // namespace assertion
