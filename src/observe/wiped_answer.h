#pragma once

#include <utility>

#include "assertion/secret.h"
#include "observe/http_message.h"

namespace assertion {

// An answer whose body may be a secret. It is wiped wherever the answer ends, also in a loop that runs no more.
class WipedAnswer {
 public:
  explicit WipedAnswer(HttpAnswer answer) : answer_(std::move(answer)) {}
  WipedAnswer(WipedAnswer&&) = default;
  WipedAnswer& operator=(WipedAnswer&&) = delete;
  WipedAnswer(const WipedAnswer&) = delete;
  WipedAnswer& operator=(const WipedAnswer&) = delete;
  ~WipedAnswer() { WipeOctets(answer_.body); }

  HttpAnswer Take() { return std::move(answer_); }

 private:
  HttpAnswer answer_;
};

}  // namespace assertion
