#include "service/audited_call.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "observe/log.h"
#include "service/status.h"

namespace assertion::service {
namespace {

// The trace-id of a traceparent header (W3C Trace Context, section 3.2.2); empty when there is none.
std::string TraceId(const grpc::ServerContextBase& context) {
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

void Answer(AuditedCall::Release& release, Result<grpc::ByteBuffer> outcome, const TalliedAnswer& tallied,
            const std::string& trace_id) {
  tallied.Count(outcome ? "OK" : CodeName(outcome.error().code));
  const LogTrace trace(trace_id);
  release(std::move(outcome));
}

}  // namespace

AuditedCall::AuditedCall(audit::Log* log, const char* method, const grpc::ServerContextBase& context, Release release)
    : log_(log), release_(std::move(release)) {
  if (log_ != nullptr) {
    expected_.emplace(*log_);
  }
  event_.name = method;
  event_.trace_id = TraceId(context);
}

AuditedCall::AuditedCall(audit::Log* log, const char* method, const grpc::ServerContextBase& context,
                         grpc::ByteBuffer* response, grpc::ServerUnaryReactor* reactor)
    : AuditedCall(log, method, context, [response, reactor](Result<grpc::ByteBuffer> outcome) {
        if (!outcome) {
          Refuse(reactor, outcome.error());
          return;
        }
        response->Swap(&*outcome);
        reactor->Finish(grpc::Status::OK);
      }) {}

void AuditedCall::Describe(const ApprovedClaims& claims) {
  event_.audience = claims.audience();
  event_.jti = claims.jti();
  event_.lifetime = claims.expires_at() - claims.issued_at();
}

void AuditedCall::Finish(Result<grpc::ByteBuffer> outcome) {
  if (log_ == nullptr) {
    Answer(release_, std::move(outcome), tallied_, event_.trace_id);
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
    Answer(release_, std::move(outcome), tallied_, event_.trace_id);
    return;
  }
  log_->Record(event_, [release = std::move(release_), outcome = std::move(outcome), tallied = std::move(tallied_),
                        trace_id = event_.trace_id](const Status& recorded) mutable {
    if (!recorded) {
      outcome = std::unexpected(recorded.error());
    }
    Answer(release, std::move(outcome), tallied, trace_id);
  });
}

}  // namespace assertion::service
