#include "config/difference.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string_view>

#include "assertion/foreign_text.h"
#include "assertion/token_source.h"
#include "config/sections.h"

namespace assertion {
namespace {

constexpr std::size_t kMostOfLine = 960;  // "; and 10000 more" comes after it
constexpr std::size_t kMostOfName = 255;

class Differences {
 public:
  void Add(char sign, const std::string& what) {
    if (const std::string part = (text_.empty() ? "" : "; ") + (sign + what);
        left_out_ == 0 && text_.size() + part.size() <= kMostOfLine) {
      text_ += part;
    } else {
      ++left_out_;
    }
  }

  std::string Text() const {
    return left_out_ == 0 ? text_ : text_ + (text_.empty() ? "" : "; and ") + std::to_string(left_out_) + " more";
  }

 private:
  std::string text_;
  std::size_t left_out_ = 0;
};

// What two lists have of a kind, by name: `shown` is the text after the name of one that came or went, `changed` that
// of one that is in both; empty: it is the same.
template <typename List, typename Item>
void AddEach(std::string_view kind, const List& before, const List& after, std::string Item::* name,
             std::string (*shown)(const Item&), std::string (*changed)(const Item&, const Item&),
             Differences& differences) {
  std::map<std::string_view, const Item*> old;
  for (const auto& item : before) {
    old[item.*name] = &item;
  }
  const auto add = [&](char sign, const Item& item, const std::string& text) {
    differences.Add(sign, std::string(kind) + " " + Quoted(item.*name, kMostOfName) + text);
  };
  for (const auto& item : after) {
    const auto found = old.find(item.*name);
    if (found == old.end()) {
      add('+', item, shown(item));
      continue;
    }
    if (const auto text = changed(*found->second, item); !text.empty()) {
      add('~', item, text);
    }
    old.erase(found);
  }
  for (const auto& [unused, item] : old) {
    add('-', *item, shown(*item));
  }
}

std::string RolesOf(const Operator& person) {
  std::string roles;
  for (const auto role : person.roles) {
    roles.append(" ").append(kRoleNames.at(static_cast<std::size_t>(role)));
  }
  return roles;
}

std::string ChangedRoles(const Operator& before, const Operator& after) {
  return before.roles == after.roles ? "" : RolesOf(after);
}

std::string TextOf(const TwoPersonRule& rule) {
  std::string text = "two_person_rule";
  for (const auto& method : rule.methods) {
    text += " " + method;
  }
  return text + " within " + std::to_string(rule.window.count()) + " s";
}

void AddTwoPersonRule(const TwoPersonRule& before, const TwoPersonRule& after, Differences& differences) {
  if (before != after && !(before.methods.empty() && after.methods.empty())) {
    differences.Add(after.methods.empty()    ? '-'
                    : before.methods.empty() ? '+'
                                             : '~',
                    TextOf(after.methods.empty() ? before : after));
  }
}

// The fields of the configuration in which they differ, each after a blank. Names every member, so that a new one
// cannot be forgotten.
std::string ChangedFields(const Client& before, const Client& after) {
  const auto& [client_id, purposes, profile, audiences, audience_as_list, default_lifetime, max_lifetime, clock_skew,
               algorithm, callers, extra_claims, request_object, tokens, binding, publish_lead, imported_keys,
               sign_with_expired_certificate] = before;
  std::string fields;
  const auto compare = [&](const char* field, bool same) {
    if (!same) {
      fields.append(" ").append(field);
    }
  };
  compare("callers", callers == after.callers);
  compare("purposes", purposes == after.purposes);
  compare("profile", profile == after.profile);
  compare("audiences", audiences == after.audiences);
  compare("audience_as_list", audience_as_list == after.audience_as_list);
  compare("default_lifetime", default_lifetime == after.default_lifetime);
  compare("max_lifetime", max_lifetime == after.max_lifetime);
  compare("clock_skew", clock_skew == after.clock_skew);
  compare("algorithm", algorithm == after.algorithm);
  compare("extra_claims", extra_claims == after.extra_claims);
  compare("request_object", request_object == after.request_object);
  compare("tokens", tokens == after.tokens || (tokens && after.tokens && *tokens == *after.tokens));
  compare("binding", binding == after.binding);
  compare("publish_lead", publish_lead == after.publish_lead);
  compare("imported_keys", imported_keys == after.imported_keys);
  compare("sign_with_expired_certificate", sign_with_expired_certificate == after.sign_with_expired_certificate);
  return fields;
}

std::string NothingMore(const Client& /*client*/) { return ""; }

template <typename Value>
void AddOptional(const char* name, const std::optional<Value>& before, const std::optional<Value>& after,
                 Differences& differences) {
  if (before != after) {
    differences.Add(!after ? '-' : !before ? '+' : '~', name);
  }
}

std::optional<KubernetesSigner> SignerOf(const Config& config) {
  return config.kubernetes ? std::optional(config.kubernetes->signer) : std::nullopt;
}

}  // namespace

std::string DifferenceOf(const Config& before, const Config& after) {
  Differences differences;
  AddTwoPersonRule(before.two_person_rule, after.two_person_rule, differences);
  AddEach("operator", before.operators, after.operators, &Operator::caller, RolesOf, ChangedRoles, differences);
  AddOptional("kubernetes_signer", SignerOf(before), SignerOf(after), differences);
  AddOptional("caller_rate", before.caller_rate, after.caller_rate, differences);
  AddOptional("key_limits", std::optional(before.key_limits), std::optional(after.key_limits), differences);
  AddEach("client", before.clients, after.clients, &Client::client_id, NothingMore, ChangedFields, differences);
  return differences.Text();
}

}  // namespace assertion
