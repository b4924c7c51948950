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
#include "assertion/signing_input.h"
#include "keys/signing_key.h"

namespace assertion {

// The result of a job: the text that was signed, and its verified signature.
struct Signed {
  std::string input;
  Bytes signature;
};

// Cancels a job, before or after it is submitted. From its submission on, only the queue touches it.
struct JobTicket {
  using Place = std::pair<std::chrono::steady_clock::time_point, std::uint64_t>;  // deadline, number

  bool cancelled = false;
  std::string caller;          // set with its place
  std::optional<Place> place;  // while it waits
};

struct SigningJob {
  using Done = std::move_only_function<void(Result<Signed>)>;

  SigningKeyPtr key;
  SigningInput input;
  std::string caller;  // callers take turns; see WaitingLine
  std::chrono::steady_clock::time_point deadline;
  // Called exactly once, on a thread of the queue or on one that submits or cancels; must not block.
  Done done;
  std::shared_ptr<JobTicket> ticket = nullptr;  // null: it cannot be cancelled
  bool urgent = false;                          // first of all, and also while the queue is paused
  bool movable = false;                         // another HSM can do it: given back while the queue is paused

  // Set by the queue.
  bool retried = false;  // this is the second attempt
  std::chrono::steady_clock::time_point submitted = std::chrono::steady_clock::time_point::min();
};

}  // namespace assertion
