#include "tokens/purchase_line.h"

namespace assertion::tokens {

void PurchaseLine::End(const Status& recorded) {
  recorded_ = recorded;
  state_ = recorded ? State::kDurable : State::kLost;
}

std::optional<Error> PurchaseLine::WhyLost() const {
  return state_ == State::kLost ? std::optional(recorded_.error()) : std::nullopt;
}

Status PurchaseLine::CheckDurable() const {
  if (state_ == State::kDurable) {
    return {};
  }
  const auto why = WhyLost();
  return Fail(Code::kUnavailable, "the purchase of the access token could not be recorded; try again later",
              why ? why->detail : "the line of the hand-out was durable before that of the purchase");
}

}  // namespace assertion::tokens
