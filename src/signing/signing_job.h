#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "keys/signing_key.h"

namespace assertion {

// What a job comes back as: the text that was signed, and a signature that has been verified.
struct Signed {
  std::string input;
  Bytes signature;
};

// By which a job is cancelled, before or after it is submitted. Belongs to the queue from the job's submission on.
struct JobTicket {
  using Place = std::pair<std::chrono::steady_clock::time_point, std::uint64_t>;  // deadline, number

  bool cancelled = false;
  std::string caller;          // set with its place
  std::optional<Place> place;  // while it waits
};

struct SigningJob {
  using Done = std::move_only_function<void(Result<Signed>)>;

  SigningKeyPtr key;
  std::string input;
  std::string caller;  // who shares the token with others; see WaitingLine
  std::chrono::steady_clock::time_point deadline;
  // Called exactly once, on a thread of the queue's or of somebody who submits or cancels; must not block.
  Done done;
  std::shared_ptr<JobTicket> ticket = nullptr;  // null: it cannot be cancelled
  bool urgent = false;                          // goes before all others, and while the queue is paused too
  bool movable = false;                         // another HSM can do it: given back while the queue is paused
  bool retried = false;                         // the queue's own: it has had its second attempt
  std::chrono::steady_clock::time_point submitted = std::chrono::steady_clock::time_point::min();  // the queue's own
};

}  // namespace assertion
