#include "cli/audit/filter.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "assertion/nearest_word.h"
#include "assertion/v1/access_token.pb.h"
#include "assertion/v1/assertion.pb.h"
#include "assertion/v1/key_admin.pb.h"
#include "audit/ledger_version.h"
#include "cli/instant.h"
#include "cli/kid.h"
#include "config/identity.h"

namespace assertion::cli {
namespace {

// Events that are no method of assertiond's own services: those of kube-apiserver's, and what the server does itself.
constexpr std::array<std::string_view, 15> kOtherEvents = {
    "Sign",           "FetchKeys",        "Metadata",           "BuyAccessToken",
    "HttpRequest",    "Refusals",         "ChangeExpired",      "Start",
    "Stop",           "Reload",           audit::kOpened,       audit::kResumed,
    audit::kWithheld, audit::kCheckpoint, audit::kLedgerVersion};

// OK, the names of gRPC's status codes, and FAILED of what the server does itself.
constexpr std::array<std::string_view, 18> kOutcomes = {"OK",
                                                        "FAILED",
                                                        "CANCELLED",
                                                        "UNKNOWN",
                                                        "INVALID_ARGUMENT",
                                                        "DEADLINE_EXCEEDED",
                                                        "NOT_FOUND",
                                                        "ALREADY_EXISTS",
                                                        "PERMISSION_DENIED",
                                                        "RESOURCE_EXHAUSTED",
                                                        "FAILED_PRECONDITION",
                                                        "ABORTED",
                                                        "OUT_OF_RANGE",
                                                        "UNIMPLEMENTED",
                                                        "INTERNAL",
                                                        "UNAVAILABLE",
                                                        "DATA_LOSS",
                                                        "UNAUTHENTICATED"};

Status CheckName(const std::string& flag, const std::string& typed, const std::vector<std::string>& names) {
  if (typed.empty() || std::ranges::find(names, typed) != names.end()) {
    return {};
  }
  return Fail(Code::kInvalidArgument, flag + ": no line can have \"" + typed + "\"" +
                                          DidYouMean(typed, std::vector<std::string_view>(names.begin(), names.end())));
}

Result<std::optional<Time>> EdgeOf(const std::string& flag, const std::string& text, EdgeOfDay edge) {
  if (text.empty()) {
    return std::nullopt;
  }
  const auto instant = ParsePastInstant(text, SystemTime(), edge);
  return instant ? Result<std::optional<Time>>(*instant)
                 : Fail(instant.error().code, flag + ": " + instant.error().message);
}

// A member's text; empty when it is not there.
std::string MemberOf(const audit::Line& line, const char* member) {
  const auto found = line.members.find(member);
  return found != line.members.end() && found->is_string() ? found->get<std::string>() : "";
}

bool HasMember(const audit::Line& line, const char* member, const std::string& wanted) {
  return wanted.empty() || MemberOf(line, member) == wanted;
}

}  // namespace

std::vector<std::string> EventNames() {
  std::vector<std::string> names(kOtherEvents.begin(), kOtherEvents.end());
  for (const auto* file :
       {v1::CreateAssertionRequest::descriptor()->file(), v1::GetAccessTokenRequest::descriptor()->file(),
        v1::ListKeysRequest::descriptor()->file()}) {
    for (int method = 0; method < file->service(0)->method_count(); ++method) {
      names.emplace_back(file->service(0)->method(method)->name());
    }
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> OutcomeNames() { return {kOutcomes.begin(), kOutcomes.end()}; }

Result<LineFilter> LineFilter::New(WantedLines wanted) {
  RETURN_IF_ERROR(CheckName("--event", wanted.event, EventNames()));
  RETURN_IF_ERROR(CheckName("--outcome", wanted.outcome, OutcomeNames()));
  if (wanted.caller.starts_with("user:")) {
    auto caller = Identities().Parse(wanted.caller);
    if (!caller) {
      return Fail(caller.error().code, "--caller: " + caller.error().message);
    }
    wanted.caller = *std::move(caller);
  }
  LineFilter filter(std::move(wanted));
  ASSIGN_OR_RETURN(filter.since_, EdgeOf("--since", filter.wanted_.since, EdgeOfDay::kBegin));
  ASSIGN_OR_RETURN(filter.until_, EdgeOf("--until", filter.wanted_.until, EdgeOfDay::kEnd));
  return filter;
}

bool LineFilter::Lets(const audit::Line& line) {
  return (!wanted_.after_sequence || line.sequence > *wanted_.after_sequence) &&
         HasMember(line, "client_id", wanted_.client_id) && HasMember(line, "caller", wanted_.caller) &&
         HasMember(line, "jti", wanted_.jti) && IsOfEvent(line) && HasMember(line, "outcome", wanted_.outcome) &&
         IsWithin(line) && IsOfKid(line);
}

// With the two-person rule the approval makes the change, and the line of the request only says that it waits.
bool LineFilter::IsOfEvent(const audit::Line& line) const {
  return HasMember(line, "event", wanted_.event) ||
         (MemberOf(line, "event") == "ApproveChange" && MemberOf(line, "method") == wanted_.event);
}

bool LineFilter::IsOfKid(const audit::Line& line) {
  if (wanted_.kid.empty()) {
    return true;
  }
  auto kid = MemberOf(line, "kid");
  const bool is = kid == wanted_.kid || (wanted_.kid.size() >= kShortestKid && kid.starts_with(wanted_.kid));
  if (is) {
    kids_.insert(std::move(kid));
  }
  return is;
}

bool LineFilter::IsWithin(const audit::Line& line) const {
  if (!since_ && !until_) {
    return true;
  }
  constexpr std::size_t kToSeconds = 19;
  const auto time = ParseInstant(MemberOf(line, "time").substr(0, kToSeconds) + "Z", Time());
  return time && (!since_ || *time >= *since_) && (!until_ || *time < *until_);
}

}  // namespace assertion::cli
