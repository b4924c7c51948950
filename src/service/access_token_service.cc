#include "service/access_token_service.h"

#include <chrono>
#include <string>
#include <utility>

#include "assertion/secret.h"
#include "assertion/wiped_stack.h"
#include "policy/token_scope.h"
#include "service/deadline.h"
#include "service/message.h"
#include "service/status.h"

namespace assertion::service {
namespace {

using std::chrono::seconds;

Result<seconds> MinimumValidity(const v1::GetAccessTokenRequest& request) {
  constexpr seconds kUsual{30};
  constexpr seconds kLongest{3600};
  if (!request.has_minimum_validity()) {
    return kUsual;
  }
  const auto& wanted = request.minimum_validity();
  if (wanted.nanos() != 0 || wanted.seconds() < 1 || wanted.seconds() > kLongest.count()) {
    return Fail(Code::kInvalidArgument, "minimum_validity: must be whole seconds from 1 s to 1 h");
  }
  return seconds(wanted.seconds());
}

AccessTokenRequest Asked(const v1::GetAccessTokenRequest& request) {
  return {.client_id = request.client_id(), .scope = request.scope(), .resource = request.resource()};
}

// The wall clock's instant: validity itself is counted by a clock that nobody sets. It is a whole second but for the
// time between the two readings, so it is not rounded down.
Time ExpiryOf(const tokens::AccessToken& token) {
  const auto left = token.expires - std::chrono::steady_clock::now();
  return std::chrono::round<seconds>(std::chrono::system_clock::now() + left);
}

// A proof of the caller would be signed with another key than the token's.
Error OtherKey() {
  return {.code = Code::kUnavailable,
          .message = "the key that the token is bound to signs no more; try again",
          .detail = {},
          .retry_delay = std::chrono::milliseconds(1)};
}

bool IsCancelled(AssertionTicket& ticket) {
  const MutexLock lock(ticket.mutex);
  return ticket.cancelled;
}

}  // namespace

AccessTokenService::AccessTokenService(const CurrentPolicy& policy, const HsmGroup& hsms, tokens::AccessTokens* tokens,
                                       Peers& peers, AwaitedMessages& awaited, Records audit)
    : policy_(policy), hsms_(hsms), tokens_(tokens), peers_(peers), audit_(audit) {
  Serve("GetAccessToken", {.awaited = awaited,
                           .authenticate = [this](const auto& context) { return peers_.Authenticate(context); },
                           .admit = [this](const Caller& caller) { return policy_.load()->Admit(caller); },
                           .handle =
                               [this](UnaryCall& unary) {
                                 const auto call = std::make_shared<AuditedCall>(audit_, "GetAccessToken", unary);
                                 if (const auto accepted = Get(unary, call); !accepted) {
                                   call->Finish(std::unexpected(accepted.error()));
                                 }
                               }});
}

void AccessTokenService::Get(TranslatedCall translated, Result<v1::GetAccessTokenRequest> request, Fits fits) const {
  const auto call = std::make_shared<AuditedCall>(audit_, "GetAccessToken", std::move(translated.trace_id),
                                                  std::move(translated.release));
  auto accepted = translated.Admit(*policy_.load(), *call);
  if (accepted && !request) {
    accepted = std::unexpected(std::move(request).error());
  } else if (accepted) {
    accepted =
        GetFor(*translated.caller, *std::move(request), translated.deadline, std::move(translated.ticket), fits, call);
  }
  if (!accepted) {
    call->Finish(std::unexpected(accepted.error()));
  }
}

Status AccessTokenService::Get(UnaryCall& unary, const Call& call) const {
  const auto& caller = unary.caller();
  if (caller) {
    call->event().caller = caller->name();
  }
  if (!unary.admitted()) {
    return unary.admitted();  // a stranger's message is not parsed
  }
  v1::GetAccessTokenRequest request;
  RETURN_IF_ERROR(Parse(unary.request(), request));
  return GetFor(*caller, std::move(request), DeadlineOf(unary.context()), unary.ticket(), FitsAlways, call);
}

// The call ends when the token is there.
Status AccessTokenService::GetFor(const Caller& caller, v1::GetAccessTokenRequest request, Instant deadline,
                                  std::shared_ptr<AssertionTicket> ticket, Fits fits, const Call& call) const {
  call->event().client_id = request.client_id();
  call->event().scope = request.scope();
  call->event().resource = request.resource();
  ASSIGN_OR_RETURN(auto approved, policy_.load()->Approve(caller, Asked(request)));
  ASSIGN_OR_RETURN(const auto minimum_validity, MinimumValidity(request));
  RETURN_IF_ERROR(call->CanFinish());  // the token could not be released: nothing is asked
  if (tokens_ == nullptr) {
    return Fail(Code::kFailedPrecondition, "this server buys no access tokens");
  }
  return Ask(std::make_shared<const Asking>(Asking{.caller = caller,
                                                   .request = std::move(request),
                                                   .minimum_validity = minimum_validity,
                                                   .deadline = deadline,
                                                   .ticket = std::move(ticket),
                                                   .fits = fits}),
             std::move(approved), call);
}

Status AccessTokenService::Ask(const AskingPtr& asking, ApprovedAccessToken approved, const Call& call) const {
  ASSIGN_OR_RETURN(auto kid, KidFor(approved));
  call->event().scope = approved.scope;
  call->event().kid = kid;
  const tokens::Wanted wanted{.client_id = asking->request.client_id(),
                              .scope = std::move(approved.scope),
                              .resource = std::move(approved.resource),
                              .kid = kid};
  call->ExpectNoMore();  // here, as Get may finish the call on another thread
  tokens_->Get(wanted,
               {.caller = asking->caller.name(),
                .minimum_validity = asking->minimum_validity,
                .deadline = asking->deadline,
                .gone = [ticket = asking->ticket] { return IsCancelled(*ticket); }},
               [this, asking, kid = std::move(kid), call](const Result<tokens::AccessTokenPtr>& token) {
                 if (!token || *token != nullptr) {
                   call->Finish(HandOut(*asking, kid, token, *call));
                 } else if (const auto again = AskAgain(asking, call); !again) {
                   call->Finish(std::unexpected(again.error()));
                 }
               });
  constexpr std::size_t kStackOfHandOut = std::size_t{16} << 10U;
  WipeStack<kStackOfHandOut>();  // the first call into a library saves registers, which may hold octets of the token
  return {};
}

// A reload dropped the purchase. Its policy may allow less, or buy elsewhere.
Status AccessTokenService::AskAgain(const AskingPtr& asking, const Call& call) const {
  ASSIGN_OR_RETURN(auto approved, policy_.load()->Recheck(asking->caller, Asked(asking->request)));
  return Ask(asking, std::move(approved), call);
}

// Of the key that a token for it is bound to; empty: a bearer token.
Result<std::string> AccessTokenService::KidFor(const ApprovedAccessToken& approved) const {
  if (approved.dpop_client.empty()) {
    return std::string();
  }
  ASSIGN_OR_RETURN(const auto key, hsms_.SigningKeyOf(approved.dpop_client));
  return key->kid;
}

Result<grpc::ByteBuffer> AccessTokenService::HandOut(const Asking& asking, const std::string& kid,
                                                     const Result<tokens::AccessTokenPtr>& token,
                                                     AuditedCall& call) const {
  if (!token) {
    return std::unexpected(token.error());
  }
  const auto& held = **token;
  call.event().scope = held.scope;
  // Again: a reload may have taken the scope from the caller while it waited, and more may be granted than was asked.
  const auto policy = policy_.load();
  ASSIGN_OR_RETURN(const auto approved, policy->Recheck(asking.caller, Asked(asking.request)));
  ASSIGN_OR_RETURN(const auto* client, policy->FindClient(asking.request.client_id()));
  RETURN_IF_ERROR(CheckGrantedScope(asking.caller, *client->tokens, held.scope));
  RETURN_IF_ERROR(asking.fits(held));
  ASSIGN_OR_RETURN(const auto kid_now, KidFor(approved));
  if (kid_now != kid) {
    return std::unexpected(OtherKey());
  }
  if (held.line != nullptr) {
    if (auto why = held.line->WhyLost()) {
      return std::unexpected(*std::move(why));
    }
    call.ReleaseIf([line = held.line] { return line->CheckDurable(); });
  }
  const auto expires_at = ExpiryOf(held);
  call.event().token = held.digest;
  call.event().expires_at = expires_at;
  v1::GetAccessTokenResponse reply;
  const auto text = held.value.view();
  reply.mutable_access_token()->assign(text.begin(), text.end());
  reply.set_token_type(held.type);
  reply.set_scope(held.scope);
  reply.mutable_expires_at()->set_seconds(expires_at.time_since_epoch().count());
  reply.set_kid(kid);
  auto wire = SerializeSecret(reply);
  WipeOctets(*reply.mutable_access_token());
  tokens_->CountHandOut(asking.request.client_id());
  return wire;
}

}  // namespace assertion::service
