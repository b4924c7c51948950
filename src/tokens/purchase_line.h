#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "assertion/error.h"

namespace assertion::tokens {

// The audit line of a purchase. It is recorded before its token goes to the callers that wait, and a hand-out's line is
// recorded after it, so both can share one sync. The token leaves only once this line is durable.
// End may be called on another thread than the rest.
class PurchaseLine {
 public:
  // Called once, when the log is done with the line.
  void End(const Status& recorded);

  // Why the log does not hold the line, and never will. Its token is handed to nobody.
  std::optional<Error> WhyLost() const;

  // OK once the line is durable. UNAVAILABLE until then, and when it is lost.
  Status CheckDurable() const;

 private:
  enum class State : std::uint8_t { kPending, kDurable, kLost };

  Status recorded_;  // written before the state
  std::atomic<State> state_ = State::kPending;
};

// Null: no audit log is configured.
using PurchaseLinePtr = std::shared_ptr<const PurchaseLine>;

}  // namespace assertion::tokens
