#include "keys/key_change.h"

#include "assertion/two_person_rule.h"

namespace assertion {

static_assert(std::variant_size_v<KeyChange> + 1 == kTwoPersonMethods.size() && kTwoPersonMethods.back() == "ImportKey",
              "a KeyImport is no KeyChange");

std::string_view MethodOf(const KeyChange& change) { return kTwoPersonMethods.at(change.index()); }

const ChangeRequest& RequestOf(const KeyChange& change) {
  return std::visit([](const auto& one) -> const ChangeRequest& { return one.change; }, change);
}

std::string_view KidOf(const KeyChange& change) {
  return std::visit(
      [](const auto& one) -> std::string_view {
        if constexpr (requires { one.kid; }) {
          return one.kid;
        } else {
          return {};
        }
      },
      change);
}

}  // namespace assertion
