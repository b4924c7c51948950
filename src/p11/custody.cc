#include "p11/custody.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "p11/attribute.h"
#include "p11/objects.h"

namespace assertion::p11 {
namespace {

enum class Need {
  kEssential,  // without it no key is made and none signs
  kShown,      // made by the token alone; the key must show it to sign, unless it was imported
  kUse,        // limits the key to signing; a token that does not know the attribute need not show it
  kRecent,     // older modules do not know it; asked of new keys alone
};

struct CustodyRule {
  CK_ATTRIBUTE_TYPE type;
  std::string_view name;
  std::string_view meaning;  // what the right value proves
  bool right;
  Need need;

  bool IsAsked() const { return need != Need::kShown; }  // in the template of a new key
  bool IsNegotiable() const { return need == Need::kUse || need == Need::kRecent; }
};

constexpr std::array kRules = {
    CustodyRule{CKA_SENSITIVE, "CKA_SENSITIVE", "its value cannot be read in plain text outside the token", true,
                Need::kEssential},
    CustodyRule{CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", "its value never could be", true, Need::kShown},
    CustodyRule{CKA_EXTRACTABLE, "CKA_EXTRACTABLE", "it cannot be wrapped and taken out", false, Need::kEssential},
    CustodyRule{CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", "it never could be", true, Need::kShown},
    CustodyRule{CKA_LOCAL, "CKA_LOCAL", "it was generated inside the token, not imported", true, Need::kShown},
    CustodyRule{CKA_SIGN, "CKA_SIGN", "it signs", true, Need::kEssential},
    CustodyRule{CKA_PRIVATE, "CKA_PRIVATE", "it is of no use without login", true, Need::kEssential},
    CustodyRule{CKA_DECRYPT, "CKA_DECRYPT", "it does not decrypt", false, Need::kUse},
    CustodyRule{CKA_UNWRAP, "CKA_UNWRAP", "it does not unwrap other keys", false, Need::kUse},
    CustodyRule{CKA_DERIVE, "CKA_DERIVE", "no key is derived from it", false, Need::kUse},
    CustodyRule{CKA_SIGN_RECOVER, "CKA_SIGN_RECOVER", "it does not sign with message recovery", false, Need::kUse},
    CustodyRule{CKA_COPYABLE, "CKA_COPYABLE", "it cannot be copied with other attributes", false, Need::kRecent},
    CustodyRule{CKA_MODIFIABLE, "CKA_MODIFIABLE", "its attributes cannot be changed", false, Need::kRecent},
};

}  // namespace

std::vector<CK_ATTRIBUTE> CustodyTemplate(const AttributeTypes& left_out) {
  std::vector<CK_ATTRIBUTE> attributes;
  for (const auto& rule : kRules) {
    if (rule.IsAsked() && !left_out.contains(rule.type)) {
      attributes.push_back(Attribute(rule.type, rule.right ? kTrue : kFalse));
    }
  }
  return attributes;
}

std::vector<CK_ATTRIBUTE_TYPE> NegotiableAttributes() {
  std::vector<CK_ATTRIBUTE_TYPE> types;
  for (const auto& rule : kRules) {
    if (rule.IsNegotiable()) {
      types.push_back(rule.type);
    }
  }
  // The recent ones first: they are refused most.
  std::ranges::stable_partition(types, [](auto type) { return type == CKA_COPYABLE || type == CKA_MODIFIABLE; });
  return types;
}

std::string_view CustodyAttributeName(CK_ATTRIBUTE_TYPE type) {
  const auto found = std::ranges::find(kRules, type, &CustodyRule::type);
  return found == kRules.end() ? "" : found->name;
}

AttributeNames CustodyAttributeNames(const AttributeTypes& types) {
  AttributeNames names;
  for (const auto type : types) {
    names.emplace(CustodyAttributeName(type));
  }
  return names;
}

Result<std::vector<KeyAttribute>> ReadCustody(Session& session, CK_OBJECT_HANDLE key) {
  std::vector<KeyAttribute> attributes;
  for (const auto& rule : kRules) {
    ASSIGN_OR_RETURN(const auto value, ReadFlag(session, key, rule.type));
    attributes.push_back({.name = rule.name,
                          .meaning = rule.meaning,
                          .value = value,
                          .required = rule.need == Need::kRecent ? std::nullopt : std::optional(rule.right),
                          .may_be_unshown = rule.need == Need::kUse});
  }
  return attributes;
}

void MarkAccepted(std::span<KeyAttribute> attributes, const AttributeNames& accepted) {
  for (auto& attribute : attributes) {
    attribute.accepted =
        accepted.contains(attribute.name) && std::ranges::find(kAcceptable, attribute.name) != kAcceptable.end();
  }
}

Status CheckCustodyAtBirth(std::span<const KeyAttribute> attributes, const AttributeTypes& left_out, bool imported) {
  if (attributes.size() != kRules.size()) {
    return Fail(Code::kInternal, "the attributes of a new key were not read back", "CheckCustodyAtBirth");
  }
  std::string wrong;
  for (std::size_t i = 0; i < kRules.size(); ++i) {
    const auto& rule = kRules[i];
    const auto& read = attributes[i];
    const bool may_be_unshown = rule.need == Need::kRecent || left_out.contains(rule.type);
    if (imported && rule.need == Need::kShown) {
      continue;
    }
    const bool is_right = read.value ? *read.value == rule.right : may_be_unshown;
    if (!is_right && !read.accepted) {
      wrong += (wrong.empty() ? "" : ", ") + std::string(rule.name) + " (" + std::string(rule.meaning) + ")";
    }
  }
  if (!wrong.empty()) {
    return Fail(Code::kKeyForbidden, "the token made a key that does not show the attributes asked for: " + wrong +
                                         "; to use it all the same, name them in accept_unshown of the field hsm");
  }
  return {};
}

Status CheckTrial(const CustodyTrial& trial, const AttributeNames& accepted) {
  if (trial.held() || accepted.contains(kCustody)) {
    return {};
  }
  return Fail(Code::kKeyForbidden,
              "unproven custody: the token let a throw-away key out by " + trial.Names(WayOutcome::kLetThrough) +
                  ", although its attributes forbid it; to use keys there all the same, name custody in "
                  "accept_unshown of the field hsm");
}

}  // namespace assertion::p11
