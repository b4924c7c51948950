#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/sections.h"
#include "config/text.h"

namespace assertion {
namespace {

constexpr std::size_t kMostOperators = 1000;

std::vector<Role> TakeRoles(Fields& entry) {
  std::vector<Role> roles;
  for (const auto& name : entry.TakeStrings("roles", true)) {
    const auto* const known = std::ranges::find(kRoleNames, name);
    if (known == kRoleNames.end()) {
      entry.Refuse("roles", "must be some of: viewer, operator, approver" + DidYouMean(name, kRoleNames));
      break;
    }
    roles.push_back(static_cast<Role>(known - kRoleNames.begin()));
  }
  return roles;
}

Operator ReadOperator(Fields entry, Identities& identities) {
  Operator person;
  if (const auto* caller = entry.TakeString("caller", true); caller != nullptr) {
    auto identity = identities.Parse(*caller);
    if (!identity) {
      entry.Refuse("caller", identity.error().message);
    }
    person.caller = std::move(identity).value_or("");
  }
  person.roles = TakeRoles(entry);
  entry.RefuseTheRest();
  return person;
}

std::string UnknownMethod(std::string_view method) {
  std::string all;
  for (const auto known : kTwoPersonMethods) {
    all.append(all.empty() ? "" : ", ").append(known);
  }
  return "no such method" + DidYouMean(method, kTwoPersonMethods) + "; the methods are: " + all +
         "; or \"all\" of them";
}

// A list of methods, or the word "all".
std::vector<std::string> TakeMethods(Fields& section) {
  const auto* node = section.Take("methods", true);
  const auto* word = node == nullptr ? nullptr : std::get_if<std::string>(&node->value);
  return word != nullptr ? std::vector{*word} : section.TakeStrings("methods", true);
}

TwoPersonRule TakeRule(Fields section) {
  TwoPersonRule rule;
  for (auto& method : TakeMethods(section)) {
    if (method == "all") {
      rule.methods.insert(kTwoPersonMethods.begin(), kTwoPersonMethods.end());
    } else if (std::ranges::find(kTwoPersonMethods, method) != kTwoPersonMethods.end()) {
      rule.methods.insert(std::move(method));
    } else {
      section.Refuse("methods", UnknownMethod(method));
      break;
    }
  }
  if (section.TakeBool("revoke_by_one_person", false) && rule.methods.erase("RevokeKey") == 0) {
    section.Refuse("revoke_by_one_person",
                   "exempts RevokeKey from the rule, which does not cover it: methods must have "
                   "RevokeKey, or be \"all\"");
  }
  rule.window = section.TakeDuration("window").value_or(rule.window);
  section.RefuseTheRest();
  return rule;
}

// One person does by `other` what the rule would have two do by `method`.
struct WayRound {
  std::string_view method;
  std::string_view other;
};

// By force, ScheduleKey ends a key's signing and publication at once, or has another key sign at once.
constexpr std::array<WayRound, 4> kWaysRound = {{{"RevokeKey", "ScheduleKey"},
                                                 {"RevokeKey", "DestroyKey"},
                                                 {"RotateKey", "ScheduleKey"},
                                                 {"GenerateKey", "RotateKey"}}};

void WarnOfWaysRound(const TwoPersonRule& rule, std::vector<std::string>& warnings) {
  for (const auto& [method, other] : kWaysRound) {
    if (rule.methods.contains(method) && !rule.methods.contains(other)) {
      warnings.push_back("two_person_rule.methods: " + std::string(method) + " is listed and " + std::string(other) +
                         " is not: by that, one operator alone can do the same: list both, or \"all\"");
    }
  }
}

bool CanAgree(const std::vector<Operator>& operators) {
  const auto has = [](const Operator& entry, Role role) {
    return std::ranges::find(entry.roles, role) != entry.roles.end();
  };
  return std::ranges::any_of(operators, [&](const Operator& approver) {
    return has(approver, Role::kApprover) && std::ranges::any_of(operators, [&](const Operator& other) {
             return other.caller != approver.caller && has(other, Role::kOperator);
           });
  });
}

}  // namespace

void ReadOperators(Fields& fields, Identities& identities, Config& config) {
  const auto* list = fields.Take<Node::Array>("operators", false, "a list of operators");
  if (list != nullptr && list->size() > kMostOperators) {
    fields.Refuse("operators", "must not have more than " + std::to_string(kMostOperators) + " entries");
    return;
  }
  std::map<std::string, std::size_t> places;  // by caller
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto path = "operators[" + std::to_string(i) + "]";
    auto person = ReadOperator(Fields((*list)[i], path, fields.errors()), identities);
    const auto [place, is_new] = places.try_emplace(person.caller, i);
    if (!is_new && !person.caller.empty()) {
      fields.errors().Add((*list)[i].line, path + ".caller",
                          "is the caller of operators[" + std::to_string(place->second) + "], " + person.caller +
                              ": list all roles of a caller in one entry");
    }
    config.operators.push_back(std::move(person));
  }
}

void ReadTwoPersonRule(Fields& fields, Config& config) {
  if (auto section = fields.TakeObject("two_person_rule")) {
    config.two_person_rule = TakeRule(*std::move(section));
  }
  WarnOfWaysRound(config.two_person_rule, config.warnings);
  if (!config.two_person_rule.methods.empty() && !CanAgree(config.operators)) {
    config.warnings.emplace_back(
        "two_person_rule: no two operators can agree on a change: one needs the role operator, another approver");
  }
}

}  // namespace assertion
