#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "assertion/approved_claims.h"
#include "assertion/error.h"
#include "audit/log.h"
#include "keys/signing_key.h"
#include "observe/assertion_tally.h"
#include "service/refusals.h"
#include "service/unary_call.h"

namespace assertion::service {

// The trace-id of a traceparent header (W3C Trace Context, section 3.2); empty when there is none.
std::string TraceIdIn(std::string_view traceparent);
std::string TraceIdOf(const grpc::ServerContextBase& context);

// A call that is recorded: its outcome leaves only once the audit log holds it. Without a log it leaves at once, and so
// does a refusal that asks to retry later.
class AuditedCall {
 public:
  // Sends the answer, or the error, to the caller.
  using Release = std::move_only_function<void(Result<grpc::ByteBuffer>)>;

  AuditedCall(Records records, const char* method, const grpc::ServerContextBase& context, Release release)
      : AuditedCall(records, method, TraceIdOf(context), std::move(release)) {}

  // The same for a call that gRPC did not bring. `trace_id`: see TraceIdIn.
  AuditedCall(Records records, const char* method, std::string trace_id, Release release);

  // The same for a call of its own, which lives until Finish.
  AuditedCall(Records records, const char* method, UnaryCall& unary);

  // Filled while the call goes on.
  audit::Event& event() { return event_; }

  // Looked at when the answer is about to leave: an error takes the answer's place.
  using Condition = std::move_only_function<Status()>;
  void ReleaseIf(Condition condition) { condition_ = std::move(condition); }

  // Counted when the answer leaves; empty: nothing is counted.
  TalliedAnswer& tallied() { return tallied_; }

  // Copies the claims into the event.
  void Describe(const ApprovedClaims& claims);

  // Notes the key that signed.
  void Describe(const SigningKey& key);

  // UNAVAILABLE when the outcome could not be recorded.
  Status CanFinish() const { return log_ == nullptr ? Status() : log_->state(); }

  // The call waits for something other than the HSM, maybe for long: until Finish the log expects no line of it.
  void ExpectNoMore() { expected_.reset(); }

  // Ends the call; called once. A refusal that the peer caused is charged to its budget; past the budget the answer is
  // RESOURCE_EXHAUSTED, with the reason, and the call gets no audit line.
  void Finish(Result<grpc::ByteBuffer> outcome);

 private:
  bool ChargeRefusal(Result<grpc::ByteBuffer>& outcome) const;

  audit::Log* log_;  // null: nothing is recorded
  Refusals* refusals_;
  std::optional<audit::Log::Expectation> expected_;  // until it is recorded
  audit::Event event_;
  TalliedAnswer tallied_;
  Condition condition_;  // empty: none
  Release release_;
};

}  // namespace assertion::service
