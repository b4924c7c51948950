#include "service/http_front.h"

#include <algorithm>
#include <utility>

#include "assertion/clock.h"
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

using MakeAnswer = HttpAnswer (*)(const Result<grpc::ByteBuffer>& outcome, Time now);

// `open`: held until the call has ended.
TranslatedCall CallOf(const HttpRequest& request, MakeAnswer make, HttpReply reply, std::shared_ptr<void> open) {
  return {.caller = request.user ? LocalCaller(*request.user)
                                 : Fail(Code::kUnauthenticated, "the peer is not known: call over the Unix socket"),
          .deadline = std::chrono::steady_clock::now() + kLongestWait,
          .trace_id = TraceIdIn(request.traceparent),
          .release = [make, reply = std::move(reply), open = std::move(open)](
                         Result<grpc::ByteBuffer> outcome) mutable { reply(make(outcome, SystemTime())); }};
}

}  // namespace

Result<std::unique_ptr<HttpFront>> HttpFront::Bind(const FrontAddress& address, const AssertionService& assertions,
                                                   const AccessTokenService& access_tokens) {
  ASSIGN_OR_RETURN(auto socket, LocalSocket::Bind(address.socket_path, address.socket_group));
  return std::unique_ptr<HttpFront>(new HttpFront(std::move(socket), assertions, access_tokens));
}

HttpFront::~HttpFront() {
  listener_.reset();  // cancels what nobody waits for any more
  MutexLock lock(calls_.mutex);
  calls_.ended.wait(lock, [this]() REQUIRES(calls_.mutex) { return calls_.open == 0; });
}

Status HttpFront::Start(std::size_t connections) {
  ASSIGN_OR_RETURN(listener_,
                   HttpListener::Start(HttpListener::Local{
                       .field = "token_listen",
                       .socket = socket_->descriptor(),
                       .limits = {.total = connections, .per_source = std::max<std::size_t>(1, connections / 2)},
                       .user = PeerUser,
                       .handler = [this](const HttpRequest& request, HttpReply reply) {
                         return Answer(request, std::move(reply));
                       }}));
  return {};
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

std::function<void()> HttpFront::Answer(const HttpRequest& request, HttpReply reply) {
  const auto target = SplitTarget(request.target);
  const auto path = PercentDecoded(target.path).value_or("");
  auto of_token = ClientIn(path, "/token");
  auto of_assertion = ClientIn(path, "/assertion");
  if (!of_token && !of_assertion) {
    reply(ErrorAnswer({.code = Code::kNotFound,
                       .message = "here are /clients/{client_id}/token and /clients/{client_id}/assertion alone",
                       .detail = {}}));
    return {};
  }
  if (request.method != "GET" || request.has_content) {
    constexpr int kMethodNotAllowed = 405;
    auto answer =
        ErrorAnswer({.code = Code::kInvalidArgument, .message = "only GET without content is allowed", .detail = {}});
    if (request.method != "GET") {
      answer.status = kMethodNotAllowed;
      answer.headers.emplace_back("Allow", "GET");
    }
    reply(std::move(answer));
    return {};
  }
  auto call = CallOf(request, of_token ? TokenAnswer : AssertionAnswer, std::move(reply), BeginCall());
  auto cancel = [ticket = call.ticket] { HsmGroup::Cancel(*ticket); };
  if (of_token) {
    access_tokens_.Get(std::move(call), ToTokenRequest(*std::move(of_token), target.query));
  } else {
    assertions_.Create(std::move(call), ToAssertionRequest(*std::move(of_assertion), target.query));
  }
  return cancel;
}

}  // namespace assertion::service
