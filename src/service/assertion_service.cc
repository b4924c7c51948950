#include "service/assertion_service.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "service/deadline.h"
#include "service/message.h"
#include "service/open_calls.h"
#include "service/signing_request.h"
#include "service/status.h"
#include "signing/publications.h"
#include "x509/certificate.h"

namespace assertion::service {
namespace {

// The timeout of one request on a stream.
Result<std::chrono::nanoseconds> TimeoutOf(const v1::CreateAssertionsRequest& wanted) {
  if (!wanted.has_timeout()) {
    return kLongestWait;
  }
  const auto& timeout = wanted.timeout();
  const bool possible = timeout.seconds() >= 0 && timeout.seconds() <= kLongestWait.count() && timeout.nanos() >= 0 &&
                        timeout.nanos() < std::nano::den;
  const auto length = possible ? std::chrono::seconds(timeout.seconds()) + std::chrono::nanoseconds(timeout.nanos())
                               : std::chrono::nanoseconds(0);
  if (length.count() == 0 || length > kLongestWait) {
    return Fail(Code::kInvalidArgument, "timeout: must be more than 0 and at most 30 s");
  }
  return length;
}

grpc::Status Stopping() {
  return {grpc::StatusCode::UNAVAILABLE, "the server is stopping: ask another, or later, for what has no answer"};
}

}  // namespace

AssertionService::AssertionService(const CurrentPolicy& policy, const HsmGroup& hsms, Peers& peers,
                                   AwaitedMessages& awaited, Records audit, AssertionTally* tally)
    : policy_(policy), hsms_(hsms), peers_(peers), audit_(audit), tally_(tally) {
  ServeSigning<v1::CreateAssertionRequest>("CreateAssertion", awaited);
  ServeSigning<v1::CreateDpopProofRequest>("CreateDpopProof", awaited);
  ServeSigning<v1::CreateRequestObjectRequest>("CreateRequestObject", awaited);
  ServeUnary("GetCertificate", awaited, [this](UnaryCall& call) { Respond(call, Certificate(call)); });
  ServeUnary("GetJwks", awaited, [this](UnaryCall& call) { Respond(call, Jwks(call)); });
}

void AssertionService::ServeUnary(const char* method, AwaitedMessages& awaited,
                                  std::function<void(UnaryCall& call)> handle) {
  Serve(method, {.awaited = awaited,
                 .authenticate = [this](const auto& context) { return peers_.Authenticate(context); },
                 .admit = [this](const Caller& caller) { return policy_.load()->Admit(caller); },
                 .handle = std::move(handle)});
}

template <typename Request>
void AssertionService::ServeSigning(const char* method, AwaitedMessages& awaited) {
  ServeUnary(method, awaited, [this, method](UnaryCall& unary) {
    const auto call = std::make_shared<AuditedCall>(audit_, method, unary);
    call->tallied().tally = tally_;
    if (const auto accepted = Create<Request>(unary, call); !accepted) {
      call->Finish(std::unexpected(accepted.error()));
    }
  });
}

// Once the queue has accepted the job, the job finishes the call.
template <typename Request>
Status AssertionService::Create(UnaryCall& unary, const Call& call) const {
  const auto& caller = unary.caller();
  if (caller) {
    call->event().caller = caller->name();
  }
  if (!unary.admitted()) {
    return unary.admitted();  // a stranger's message is not parsed
  }
  Request request;
  if (auto parsed = Parse(unary.request(), request); !parsed) {
    return parsed;
  }
  return Submit(*caller, request, DeadlineOf(unary.context()), std::nullopt, call, unary.ticket());
}

void AssertionService::Create(TranslatedCall translated, const Result<v1::CreateAssertionRequest>& request) const {
  const auto call = std::make_shared<AuditedCall>(audit_, "CreateAssertion", std::move(translated.trace_id),
                                                  std::move(translated.release));
  call->tallied().tally = tally_;
  auto accepted = translated.Admit(*policy_.load(), *call);
  if (accepted && !request) {
    accepted = std::unexpected(request.error());
  } else if (accepted) {
    // A reload that removes the caller ends its connections of gRPC, not this one.
    call->ReleaseIf([this, caller = *translated.caller] { return policy_.load()->Admit(caller); });
    accepted =
        Submit(*translated.caller, *request, translated.deadline, std::nullopt, call, std::move(translated.ticket));
  }
  if (!accepted) {
    call->Finish(std::unexpected(accepted.error()));
  }
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* AssertionService::CreateAssertions(
    grpc::CallbackServerContext* context) {
  const auto place = std::make_shared<OpenCalls::Place>(OpenCalls::OfProcess(), context->peer());
  const auto within_limit = place->CheckLimit();
  const auto caller = within_limit ? peers_.Authenticate(*context)  // 1 caller (deploy/docs/data-way.md)
                                   : std::unexpected(within_limit.error());
  auto stream = AssertionStream::Open([this, context, caller, place](const v1::CreateAssertionsRequest& wanted,
                                                                     Ticket ticket, AuditedCall::Release release) {
    const auto call = std::make_shared<AuditedCall>(audit_, "CreateAssertion", *context, std::move(release));
    call->tallied().tally = tally_;
    call->event().caller = caller->name();
    auto accepted = peers_.CheckCertificate(*context);
    if (accepted) {
      accepted = policy_.load()->Admit(*caller);  // again: a reload may have changed the lists
    }
    if (accepted) {
      accepted = CreateOne(*caller, DeadlineOf(*context), wanted, call, std::move(ticket));
    }
    if (!accepted) {
      call->Finish(std::unexpected(accepted.error()));
    }
  });
  const auto admitted = caller ? policy_.load()->Admit(*caller) : std::unexpected(caller.error());
  if (admitted) {
    Keep(stream);
    stream->Begin();
  } else {  // every message would be refused: the stream is not kept open
    const auto call = std::make_shared<AuditedCall>(
        audit_, "CreateAssertions", *context,
        [stream](const Result<grpc::ByteBuffer>& outcome) { stream->End(ToGrpc(outcome.error())); });
    if (caller) {
      call->event().caller = caller->name();
    }
    call->Finish(std::unexpected(admitted.error()));
  }
  return stream.get();
}

// Create, for one request of a stream.
Status AssertionService::CreateOne(const Caller& caller, Instant latest, const v1::CreateAssertionsRequest& wanted,
                                   const Call& call, Ticket ticket) const {
  if (!wanted.has_assertion()) {
    return Fail(Code::kInvalidArgument, "assertion: must be set");
  }
  ASSIGN_OR_RETURN(const auto timeout, TimeoutOf(wanted));
  const auto deadline = std::min(latest, std::chrono::steady_clock::now() + timeout);
  return Submit(caller, wanted.assertion(), deadline, wanted.tag(), call, std::move(ticket));
}

// 2 approved: the policy vets the request.
template <typename Request>
Result<ApprovedClaims> AssertionService::Approve(const Caller& caller, const Request& request,
                                                 AuditedCall& call) const {
  Record(request, call.event());
  const auto policy = policy_.load();
  auto approved = Vet(*policy, caller, request);
  if (approved || policy->FindClient(request.client_id())) {
    call.tallied().client_id = request.client_id();
  }
  return approved;
}

// The way of an assertion, DPoP proof or request object, steps 1 to 7; deploy/docs/data-way.md follows a request with
// thread and file of each step.
template <typename Request>
Status AssertionService::Submit(const Caller& caller, const Request& request, Instant deadline,
                                std::optional<std::uint64_t> tag, const Call& call, Ticket ticket) const {
  // 1 caller: authenticated and admitted at the headers, by UnaryCall or CreateAssertions.
  // 2 approved.
  ASSIGN_OR_RETURN(auto approved, Approve(caller, request, *call));
  RETURN_IF_ERROR(call->CanFinish());  // step 6 would fail: the HSM is not asked
  call->Describe(approved);
  auto reply = ReplyTo(request, approved);
  // 3 key, 4 input, 5 queue: HsmGroup, on the first HSM that accepts the job.
  return hsms_.Submit({.claims = std::move(approved),
                       .caller = caller.name(),
                       .deadline = deadline,
                       .done =
                           [reply = std::move(reply), tag, call](Result<Assertion> made) mutable {
                             if (!made) {
                               call->Finish(std::unexpected(made.error()));
                               return;
                             }
                             call->Describe(*made->key);
                             reply.set_kid(made->key->kid);
                             SetJws(reply, std::move(made->jws));
                             call->Finish(ToWire(reply, tag));  // 6 audit, 7 reply
                           },
                       .ticket = std::move(ticket)});
}

void AssertionService::Keep(const std::shared_ptr<AssertionStream>& stream) {
  bool ending = false;
  {
    const MutexLock lock(mutex_);
    streams_.push_back(stream);
    ending = ending_;
  }
  if (ending) {
    stream->End(Stopping());
  }
}

void AssertionService::EndStreamsOlderThan(std::chrono::milliseconds age, std::chrono::milliseconds silence) {
  std::vector<std::weak_ptr<AssertionStream>> streams;
  {
    const MutexLock lock(mutex_);
    std::erase_if(streams_, [](const auto& one) { return one.expired(); });
    streams = streams_;
  }
  const auto now = std::chrono::steady_clock::now();
  for (const auto& one : streams) {
    const auto stream = one.lock();
    if (stream && stream->began() <= now - age) {
      stream->End({grpc::StatusCode::UNAVAILABLE, "a stream is read for 5 minutes: open another"});
    } else if (stream && stream->began() <= now - silence && stream->IsSilent()) {
      stream->End({grpc::StatusCode::UNAVAILABLE, "no request came on the stream: open another when there is one"});
    }
  }
}

void AssertionService::EndStreams() {
  std::vector<std::weak_ptr<AssertionStream>> streams;
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    streams.swap(streams_);
  }
  for (const auto& one : streams) {
    if (const auto stream = one.lock()) {
      stream->End(Stopping());
    }
  }
}

Result<v1::GetCertificateResponse> AssertionService::Certificate(const UnaryCall& unary) const {
  v1::GetCertificateRequest request;
  if (!unary.admitted()) {
    return std::unexpected(unary.admitted().error());
  }
  RETURN_IF_ERROR(Parse(unary.request(), request));
  RETURN_IF_ERROR(policy_.load()->FindForReading(*unary.caller(), request.client_id()));
  ASSIGN_OR_RETURN(const auto key, CertifiedKey(hsms_, request.client_id(), request.kid()));
  const auto& chain = key->chain;
  v1::GetCertificateResponse reply;
  reply.set_pem(x509::ToPem(chain));
  for (const auto& certificate : chain) {
    reply.add_chain_der(certificate.der.data(), certificate.der.size());
  }
  reply.set_der(reply.chain_der(0));
  reply.set_x5t_s256(jws::Sha256Thumbprint(chain.front().der));
  reply.mutable_not_before()->set_seconds(chain.front().not_before.time_since_epoch().count());
  reply.mutable_not_after()->set_seconds(chain.front().not_after.time_since_epoch().count());
  reply.set_kid(key->kid);
  return reply;
}

Result<v1::GetJwksResponse> AssertionService::Jwks(const UnaryCall& unary) const {
  v1::GetJwksRequest request;
  if (!unary.admitted()) {
    return std::unexpected(unary.admitted().error());
  }
  RETURN_IF_ERROR(Parse(unary.request(), request));
  RETURN_IF_ERROR(policy_.load()->FindForReading(*unary.caller(), request.client_id()));
  if (hsms_.CountsUntil(request.client_id()) <= std::chrono::steady_clock::now()) {
    return Fail(Code::kUnavailable, "the keys could not be read from the HSM for most of publish_lead; try again");
  }
  const auto keys = hsms_.KeysOf(request.client_id());
  if (keys.keys.empty()) {
    return Fail(Code::kFailedPrecondition, "client '" + request.client_id() +
                                               "' has no key on the token yet: assertionctl key generate --client-id " +
                                               request.client_id());
  }
  v1::GetJwksResponse reply;
  reply.set_jwks(PublishedJwkSet(hsms_, keys));
  return reply;
}

}  // namespace assertion::service
