#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <optional>

#include "assertion/approved_claims.h"
#include "assertion/error.h"
#include "audit/log.h"
#include "observe/assertion_tally.h"
#include "service/refusals.h"
#include "service/unary_call.h"

namespace assertion::service {

// A call that is recorded: its caller learns the outcome only once the audit log holds it. Without a log at once, and
// so does who is refused because too much is asked just now.
class AuditedCall {
 public:
  // Gives the caller his answer, or tells him the error.
  using Release = std::move_only_function<void(Result<grpc::ByteBuffer>)>;

  AuditedCall(Records records, const char* method, const grpc::ServerContextBase& context, Release release);

  // The same for a call of its own, which lives until Finish.
  AuditedCall(Records records, const char* method, UnaryCall& unary);

  // To be filled as the call goes on.
  audit::Event& event() { return event_; }

  // What is counted when the answer leaves; by itself nothing.
  TalliedAnswer& tallied() { return tallied_; }

  // Takes over what will be signed.
  void Describe(const ApprovedClaims& claims);

  // UNAVAILABLE when the outcome could not be recorded: then there is no use in going on.
  Status CanFinish() const { return log_ == nullptr ? Status() : log_->state(); }

  // Ends the call. Once. A refusal for which the peer is to blame costs its budget; past it the peer is told
  // RESOURCE_EXHAUSTED, with the reason, and no line is written of the call.
  void Finish(Result<grpc::ByteBuffer> outcome);

 private:
  bool IsPastBudget(Result<grpc::ByteBuffer>& outcome) const;

  audit::Log* log_;  // null: nothing is recorded
  Refusals* refusals_;
  std::optional<audit::Log::Expectation> expected_;  // until it is recorded
  audit::Event event_;
  TalliedAnswer tallied_;
  Release release_;
};

}  // namespace assertion::service
