#include "service/audited_call.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "assertion/key_record.h"
#include "observe/log.h"
#include "service/status.h"

namespace assertion::service {
namespace {

std::string_view NameOf(const Result<grpc::ByteBuffer>& outcome) {
  return outcome ? "OK" : CodeName(outcome.error().code);
}

void ReleaseOutcome(AuditedCall::Release& release, Result<grpc::ByteBuffer> outcome, std::string_view counted_as,
                    const TalliedAnswer& tallied, const std::string& trace_id) {
  tallied.Count(counted_as);
  const LogTrace trace(trace_id);
  release(std::move(outcome));  // 7 reply
}

Result<grpc::ByteBuffer> Checked(Result<grpc::ByteBuffer> outcome, AuditedCall::Condition& condition) {
  if (outcome && condition) {
    if (auto met = condition(); !met) {
      return std::unexpected(std::move(met).error());
    }
  }
  return outcome;
}

// Errors that the peer causes, or can bring about by calling too often.
bool IsPeersDoing(Code code) {
  return code == Code::kUnauthenticated || code == Code::kPermissionDenied || code == Code::kInvalidArgument ||
         code == Code::kNotFound || code == Code::kResourceExhausted;
}

bool IsOfStranger(const Result<grpc::ByteBuffer>& outcome) {
  return !outcome &&
         (outcome.error().code == Code::kUnauthenticated || outcome.error().code == Code::kPermissionDenied);
}

}  // namespace

std::string TraceIdIn(std::string_view traceparent) {
  constexpr std::size_t kVersion = 3;
  constexpr std::size_t kTraceId = 32;
  constexpr std::size_t kLength = 55;  // later versions may have more
  if (traceparent.size() < kLength) {
    return {};
  }
  const auto id = traceparent.substr(kVersion, kTraceId);
  const bool framed =
      !traceparent.starts_with("ff") && traceparent[kVersion - 1] == '-' && traceparent[kVersion + kTraceId] == '-';
  const bool hexadecimal =
      std::ranges::all_of(id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  const bool is_any = id.find_first_not_of('0') != std::string_view::npos;
  return framed && hexadecimal && is_any ? std::string(id) : "";
}

std::string TraceIdOf(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("traceparent");
  return found == metadata.end() ? "" : TraceIdIn({found->second.data(), found->second.size()});
}

AuditedCall::AuditedCall(Records records, const char* method, std::string trace_id, Release release)
    : log_(records.log), refusals_(records.refusals), release_(std::move(release)) {
  if (log_ != nullptr) {
    expected_.emplace(*log_);
  }
  event_.name = method;
  event_.trace_id = std::move(trace_id);
}

AuditedCall::AuditedCall(Records records, const char* method, UnaryCall& unary)
    : AuditedCall(records, method, unary.context(), [&unary](Result<grpc::ByteBuffer> outcome) {
        if (!outcome) {
          Refuse(unary, outcome.error());
          return;
        }
        unary.response()->Swap(&*outcome);
        unary.Finish(grpc::Status::OK);
      }) {}

void AuditedCall::Describe(const ApprovedClaims& claims) {
  const auto& profile = *claims.profile();
  if (profile.name != kDefaultProfile) {
    event_.profile = profile.name;
  }
  if (profile.purpose != Purpose::kClientAssertion) {
    event_.purpose = NameOf(kPurposes, profile.purpose);
  } else if (profile.grant != Grant::kClientAuthentication) {
    event_.purpose = NameOf(kGrants, profile.grant);
  }
  event_.subject = claims.subject();
  event_.scope = claims.scope();
  event_.audience = claims.audience();
  event_.jti = claims.jti();
  if (claims.expires_at() > claims.issued_at()) {
    event_.lifetime = claims.expires_at() - claims.issued_at();
  }
}

void AuditedCall::Describe(const SigningKey& key) {
  event_.kid = key.kid;
  event_.origin = OriginNote(key.origin);
  tallied_.algorithm = key.algorithm->name;
}

bool AuditedCall::ChargeRefusal(Result<grpc::ByteBuffer>& outcome) const {
  if (outcome || refusals_ == nullptr || !IsPeersDoing(outcome.error().code)) {
    return false;
  }
  const auto within = refusals_->Take(event_.caller);
  if (!within && outcome.error().code != Code::kResourceExhausted) {
    outcome =
        Fail(Code::kResourceExhausted,
             "too many of your calls are refused; correct them before you repeat them: " + outcome.error().message);
    outcome.error().retry_delay = within.error().retry_delay;
  }
  return !within;
}

void AuditedCall::Finish(Result<grpc::ByteBuffer> outcome) {
  const auto name = NameOf(outcome);
  const bool of_stranger = IsOfStranger(outcome);
  if (ChargeRefusal(outcome) || log_ == nullptr) {
    expected_.reset();
    ReleaseOutcome(release_, Checked(std::move(outcome), condition_), name, tallied_, event_.trace_id);
    return;
  }
  event_.entitled = !of_stranger;
  event_.outcome = name;
  event_.reason = outcome ? "" : outcome.error().message;
  event_.latency =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - tallied_.began);
  expected_.reset();
  // A retryable refusal releases nothing, so it does not wait for the audit log: a checkpoint takes as long as the
  // token does, and under overload there are many.
  if (!outcome && outcome.error().retry_delay.count() > 0) {
    log_->Record(event_, [](const Status&) {});
    ReleaseOutcome(release_, std::move(outcome), name, tallied_, event_.trace_id);
    return;
  }
  // 6 audit: the outcome is durable before it leaves (deploy/docs/data-way.md).
  log_->Record(event_, [release = std::move(release_), outcome = std::move(outcome), tallied = std::move(tallied_),
                        condition = std::move(condition_), trace_id = event_.trace_id](const Status& recorded) mutable {
    if (!recorded) {
      outcome = std::unexpected(recorded.error());
    }
    outcome = Checked(std::move(outcome), condition);
    const auto released_as = NameOf(outcome);
    ReleaseOutcome(release, std::move(outcome), released_as, tallied, trace_id);
  });
}

}  // namespace assertion::service
