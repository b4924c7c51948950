#include "service/audited_call.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "observe/log.h"
#include "service/status.h"

namespace assertion::service {
namespace {

// The trace-id of a traceparent header (W3C Trace Context, section 3.2.2); empty when there is none.
std::string TraceId(const grpc::CallbackServerContext& context) {
  constexpr std::size_t kVersion = 3;
  constexpr std::size_t kTraceId = 32;
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("traceparent");
  if (found == metadata.end()) {
    return {};
  }
  const std::string_view header(found->second.data(), found->second.size());
  const auto id = header.size() > kVersion + kTraceId ? header.substr(kVersion, kTraceId) : std::string_view();
  const bool hexadecimal =
      std::ranges::all_of(id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return hexadecimal ? std::string(id) : "";
}

void Release(grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response, Result<grpc::ByteBuffer> outcome,
             const TalliedAnswer& tallied, const std::string& trace_id) {
  tallied.Count(outcome ? "OK" : CodeName(outcome.error().code));
  if (!outcome) {
    const LogTrace trace(trace_id);
    Refuse(reactor, outcome.error());
    return;
  }
  response->Swap(&*outcome);
  reactor->Finish(grpc::Status::OK);
}

}  // namespace

AuditedCall::AuditedCall(audit::Log* log, const char* method, const grpc::CallbackServerContext& context,
                         grpc::ByteBuffer* response, grpc::ServerUnaryReactor* reactor)
    : log_(log), response_(response), reactor_(reactor) {
  if (log_ != nullptr) {
    expected_.emplace(*log_);
  }
  event_.name = method;
  event_.trace_id = TraceId(context);
}

void AuditedCall::Describe(const ApprovedClaims& claims) {
  event_.audience = claims.audience();
  event_.jti = claims.jti();
  event_.lifetime = claims.expires_at() - claims.issued_at();
}

void AuditedCall::Finish(Result<grpc::ByteBuffer> outcome) {
  if (log_ == nullptr) {
    Release(reactor_, response_, std::move(outcome), tallied_, event_.trace_id);
    return;
  }
  event_.outcome = outcome ? "OK" : CodeName(outcome.error().code);
  event_.reason = outcome ? "" : outcome.error().message;
  event_.latency =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - tallied_.began);
  expected_.reset();
  // Who shall come again later gets nothing that the log must hold before, and hears it at once: a checkpoint takes as
  // long as the token does, and under overload there are many.
  if (!outcome && outcome.error().retry_delay.count() > 0) {
    log_->Record(event_, [](const Status&) {});
    Release(reactor_, response_, std::move(outcome), tallied_, event_.trace_id);
    return;
  }
  log_->Record(event_, [reactor = reactor_, response = response_, outcome = std::move(outcome),
                        tallied = std::move(tallied_), trace_id = event_.trace_id](const Status& recorded) mutable {
    if (!recorded) {
      outcome = std::unexpected(recorded.error());
    }
    Release(reactor, response, std::move(outcome), tallied, trace_id);
  });
}

}  // namespace assertion::service
