#include "service/http_front.h"

#include <algorithm>
#include <utility>

#include "assertion/clock.h"
#include "assertion/percent_encoding.h"
#include "observe/http_target.h"
#include "service/access_token_service.h"
#include "service/assertion_service.h"
#include "service/authentication.h"
#include "service/deadline.h"
#include "service/front_answer.h"
#include "service/front_request.h"
#include "service/translated_call.h"

namespace assertion::service {
namespace {

constexpr int kMethodNotAllowed = 405;

using Steady = std::chrono::steady_clock;
using MakeAnswer = std::function<HttpAnswer(const Result<grpc::ByteBuffer>& outcome, Time now)>;

// `open`: held until the call has ended.
TranslatedCall CallOf(const HttpRequest& request, std::string client_id, MakeAnswer make, HttpReply reply,
                      std::shared_ptr<void> open) {
  return {.caller = request.user ? LocalCaller(*request.user)
                                 : Fail(Code::kUnauthenticated, "the peer is not known: call over the Unix socket"),
          .deadline = Steady::now() + kLongestWait,
          .trace_id = TraceIdIn(request.traceparent),
          .client_id = std::move(client_id),
          .release = [make = std::move(make), reply = std::move(reply), open = std::move(open)](
                         Result<grpc::ByteBuffer> outcome) mutable { reply(make(outcome, SystemTime())); }};
}

HttpAnswer RefusedAnswer(const Result<grpc::ByteBuffer>& outcome, Time /*now*/) { return ErrorAnswer(outcome.error()); }

// With this status where the request itself is refused: not because the caller is unknown, or is refused too often.
MakeAnswer RefusedWith(int status) {
  return [status](const Result<grpc::ByteBuffer>& outcome, Time /*now*/) {
    auto answer = ErrorAnswer(outcome.error());
    if (outcome.error().code == Code::kInvalidArgument) {
      answer.status = status;
      if (status == kMethodNotAllowed) {
        answer.headers.emplace_back("Allow", "GET");
      }
    }
    return answer;
  };
}

}  // namespace

Result<std::unique_ptr<HttpFront>> HttpFront::Bind(const FrontAddress& address, Services services) {
  ASSIGN_OR_RETURN(auto socket, LocalSocket::Bind(address.socket_path, address.socket_group));
  return std::unique_ptr<HttpFront>(new HttpFront(std::move(socket), services));
}

HttpFront::~HttpFront() {
  listener_.reset();  // cancels what nobody waits for any more
  MutexLock lock(calls_.mutex);
  calls_.ended.wait(lock, [this]() REQUIRES(calls_.mutex) { return calls_.open == 0; });
}

Status HttpFront::Start(const ConnectionLimits& limits) {
  strangers_.emplace(limits.per_peer, [this](const std::string& peer) {
    return services_.policy.load()->Admit(Caller::Authenticated({peer})).has_value();
  });
  const auto total = FittingConnections(limits);
  ASSIGN_OR_RETURN(listener_, HttpListener::Start(HttpListener::Local{
                                  .field = "token_listen",
                                  .socket = socket_->descriptor(),
                                  .limits = {.total = total, .per_source = std::max<std::size_t>(1, total / 2)},
                                  .user = [this](int fd) { return LetIn(fd); },
                                  .listed = [this](uid_t user) { return strangers_->IsListed(user); },
                                  .charge = [this](uid_t user) { return strangers_->Charge(user, Steady::now()); },
                                  .handler = [this](const HttpRequest& request,
                                                    HttpReply reply) { return Answer(request, std::move(reply)); }}));
  return {};
}

std::optional<uid_t> HttpFront::LetIn(int fd) {
  const auto user = PeerUser(fd);
  return user && strangers_->LetIn(*user, Steady::now()) ? user : std::nullopt;
}

void HttpFront::StopListening(std::chrono::milliseconds grace) {
  if (listener_) {
    listener_->StopAccepting(grace);
  }
  socket_->Remove();
}

std::shared_ptr<void> HttpFront::BeginCall() {
  const MutexLock lock(calls_.mutex);
  ++calls_.open;
  return {nullptr, [this](void* /*nothing*/) {
            const MutexLock ending(calls_.mutex);
            --calls_.open;
            calls_.ended.notify_all();  // under the lock: the waiter destroys it
          }};
}

void HttpFront::Refuse(TranslatedCall translated, Error why) const {
  AuditedCall call(services_.records, "HttpRequest", std::move(translated.trace_id), std::move(translated.release));
  if (const auto admitted = translated.Admit(*services_.policy.load(), call); !admitted) {
    why = admitted.error();
  }
  call.Finish(std::unexpected(std::move(why)));
}

std::function<void()> HttpFront::Answer(const HttpRequest& request, HttpReply reply) {
  if (request.fault) {
    Refuse(CallOf(request, {}, RefusedWith(request.fault->status), std::move(reply), BeginCall()),
           {.code = Code::kInvalidArgument, .message = request.fault->text, .detail = {}});
    return {};
  }
  const auto target = SplitTarget(request.target);
  const auto path = PercentDecoded(target.path).value_or("");
  auto of_token = ClientIn(path, "/token");
  auto of_assertion = ClientIn(path, "/assertion");
  if (!of_token && !of_assertion) {
    Refuse(CallOf(request, {}, RefusedAnswer, std::move(reply), BeginCall()),
           {.code = Code::kNotFound,
            .message = "here are /clients/{client_id}/token and /clients/{client_id}/assertion alone",
            .detail = {}});
    return {};
  }
  const auto& client_id = of_token ? *of_token : *of_assertion;
  if (request.method != "GET" || request.has_content) {
    Refuse(
        CallOf(request, client_id, request.method == "GET" ? MakeAnswer(RefusedAnswer) : RefusedWith(kMethodNotAllowed),
               std::move(reply), BeginCall()),
        {.code = Code::kInvalidArgument, .message = "only GET without content is allowed", .detail = {}});
    return {};
  }
  auto call = CallOf(request, client_id, of_token ? TokenAnswer : AssertionAnswer, std::move(reply), BeginCall());
  auto cancel = [ticket = call.ticket] { HsmGroup::Cancel(*ticket); };
  if (of_token) {
    services_.access_tokens.Get(std::move(call), ToTokenRequest(*std::move(of_token), target.query));
  } else {
    services_.assertions.Create(std::move(call), ToAssertionRequest(*std::move(of_assertion), target.query));
  }
  return cancel;
}

}  // namespace assertion::service
