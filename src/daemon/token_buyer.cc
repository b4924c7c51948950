#include "daemon/token_buyer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <deque>
#include <future>
#include <optional>
#include <string_view>
#include <utility>

#include "assertion/foreign_text.h"
#include "assertion/profile.h"
#include "assertion/token_source.h"
#include "assertion/wiped_stack.h"
#include "config/text.h"
#include "oauth/form.h"
#include "oauth/token_answer.h"
#include "policy/text_shapes.h"
#include "service/message.h"

namespace assertion {
namespace {

constexpr std::size_t kThreads = 32;
constexpr std::chrono::seconds kSlow{5};  // an origin whose last purchase took so long gets one at once
constexpr std::chrono::seconds kSigningLimit{10};
constexpr std::size_t kStackOfPurchase = std::size_t{64} << 10U;  // httplib reads an answer by way of the stack
constexpr std::chrono::seconds kExchangeLimit{15};                // for both requests of a purchase
constexpr std::string_view kBuyer = "assertiond";                 // the caller, in the audit log
constexpr const char* kJwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
constexpr std::string_view kUseDpopNonce = "use_dpop_nonce";
constexpr std::size_t kMostOfType = 64;                         // octets
constexpr std::size_t kMostOfError = 64;                        // octets
constexpr std::size_t kMostOfAnswer = std::size_t{128} << 10U;  // octets: a token may have half of it
constexpr std::string_view kInvalidClient = "invalid_client";
constexpr std::string_view kInvalidGrant = "invalid_grant";
constexpr std::string_view kUnauthorizedClient = "unauthorized_client";
constexpr int kGranted = 200;
constexpr int kUnauthorized = 401;
constexpr int kTooManyRequests = 429;
constexpr int kServerError = 500;

tokens::Refusal OfClient(Error error) { return {.error = std::move(error), .of_client = true}; }

oauth::FormFields Form(const Client& client, const tokens::Wanted& wanted, std::string assertion) {
  oauth::FormFields form;
  if (client.profile.grant == Grant::kJwtBearer) {
    form = {{"grant_type", kJwtBearerGrant}, {"assertion", std::move(assertion)}};
  } else {
    form = {{"grant_type", "client_credentials"},
            {"client_id", client.client_id},
            {"client_assertion_type", service::kClientAssertionType},
            {"client_assertion", std::move(assertion)}};
  }
  form.emplace_back("scope", wanted.scope);
  form.emplace_back(client.tokens->resource_parameter, wanted.resource);
  return form;
}

// RFC 9449 section 4.2.
std::string HtuOf(const oauth::Url& endpoint) {
  return endpoint.origin + endpoint.path.substr(0, endpoint.path.find('?'));
}

// What the configuration names: a server may move its endpoint as often as it likes.
const std::string& ServerOf(const TokenSource& source) {
  return source.issuer.empty() ? source.token_endpoint : source.issuer;
}

// Nothing: the token is bound if that was asked, and else is not. Another is of use to nobody, and repeating the
// purchase would have token after token issued: the pause grows.
std::optional<tokens::Refusal> CheckType(const tokens::Wanted& wanted, const std::string& type) {
  const bool bound = LowerCase(type) == "dpop";
  if (bound == wanted.IsBound()) {
    return std::nullopt;
  }
  const auto* const why = bound ? ", which needs proofs of a key: configure tokens.dpop_client for the client"
                                : ", not DPoP: it did not bind the token to the key (RFC 9449 section 5); have it "
                                  "issue DPoP-bound tokens to the client, or remove tokens.dpop_client";
  return tokens::Refusal{.error = {.code = Code::kFailedPrecondition,
                                   .message = "the identity server's token_type is " + Quoted(type, kMostOfType) + why,
                                   .detail = {}},
                         .of_client = true,
                         .by_credentials = true};
}

// The identity server did answer: who reads that it refused the assertion need not look for a server that is down.
// `kid`: of the key that signed.
std::string WhatWasAnswered(int status, const std::string& word, const std::string& kid) {
  const bool of_assertion = word == kInvalidClient || word == kInvalidGrant;
  return (of_assertion ? "the identity server refused the assertion: HTTP " : "the identity server answered HTTP ") +
         std::to_string(status) + (word.empty() ? "" : ", " + Quoted(word, kMostOfError)) +
         (of_assertion
              ? "; check that it knows the certificate or JWK Set of the kid " + kid + ", the audience and the clock"
              : "");
}

// The meaning of the identity server's refusal, and of `word`, its error (RFC 6749 section 5.2, RFC 9449 section 5).
tokens::Refusal RefusalOf(const oauth::HttpAnswer& answer, const std::string& word, const std::string& kid) {
  static constexpr std::array<std::string_view, 5> kOfCredentials = {kInvalidClient, kUnauthorizedClient, kInvalidGrant,
                                                                     "invalid_dpop_proof", kUseDpopNonce};
  tokens::Refusal refusal;
  refusal.retry_after = oauth::RetryAfterOf(answer.retry_after, std::chrono::system_clock::now());
  refusal.error.message = WhatWasAnswered(answer.status, word, kid);
  if (answer.status == kTooManyRequests) {
    refusal.error.code = Code::kResourceExhausted;
    refusal.of_client = true;
  } else if (answer.status >= kServerError || word.empty()) {
    refusal.error.code = Code::kUnavailable;
    refusal.of_client = true;
  } else if (std::ranges::find(kOfCredentials, word) != kOfCredentials.end()) {
    refusal.error.code = Code::kUnavailable;
    // A client that was authenticated may be refused for what it asks (RFC 6749 section 5.2); some servers say the same
    // of a client that they do not know.
    refusal.of_client = word != kUnauthorizedClient || answer.status == kUnauthorized;
    refusal.by_credentials = true;
  } else {
    refusal.error.code = Code::kFailedPrecondition;  // invalid_scope, invalid_target: of this request alone
  }
  return refusal;
}

}  // namespace

void TokenBuyer::Start(audit::Log* audit) {
  audit_ = audit;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

void TokenBuyer::Buy(const tokens::Wanted& wanted, tokens::AccessTokens::Receive receive,
                     tokens::AccessTokens::IsUnwanted is_unwanted) {
  PurchaseQueue::Order order{.wanted = wanted,
                             .receive = std::move(receive),
                             .is_unwanted = std::move(is_unwanted),
                             .origin = OriginFor(wanted.client_id)};
  {
    const MutexLock lock(mutex_);
    if (!stop_.stop_requested() && queue_.Add(order)) {
      filled_.notify_one();
      return;
    }
  }
  order.receive(std::unexpected(tokens::Refusal{
      .error = {.code = Code::kResourceExhausted, .message = "too many access tokens are being bought", .detail = {}},
      .queue_full = true}));
}

std::string TokenBuyer::OriginFor(const std::string& client_id) const {
  const auto policy = policy_.load();
  const auto client = policy->FindClient(client_id);
  if (!client || !(*client)->tokens) {
    return {};  // BuyOne refuses it
  }
  const auto& source = *(*client)->tokens;
  const auto url = oauth::ParseUrl("it", ServerOf(source));
  if (!url) {
    return {};
  }
  auto origin = url->origin;
  std::ranges::transform(origin, origin.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::string_view kDefaultPort = ":443";
  if (origin.starts_with("https:") && origin.ends_with(kDefaultPort)) {
    origin.resize(origin.size() - kDefaultPort.size());
  }
  return origin;
}

void TokenBuyer::Stop() {
  std::deque<PurchaseQueue::Order> left;
  {
    const MutexLock lock(mutex_);
    stop_.request_stop();
    left = queue_.TakeAll();
    filled_.notify_all();
  }
  threads_.clear();
  for (auto& order : left) {
    order.receive(std::unexpected(
        tokens::Refusal{.error = {.code = Code::kUnavailable, .message = "the server is stopping", .detail = {}}}));
  }
}

void TokenBuyer::Work() {
  MutexLock lock(mutex_);
  while (true) {
    std::optional<PurchaseQueue::Order> order;
    filled_.wait(lock, [&]() REQUIRES(mutex_) {
      if (!stop_.stop_requested()) {
        order = queue_.Take();
      }
      return stop_.stop_requested() || order;
    });
    if (!order) {
      return;
    }
    lock.unlock();
    const auto began = std::chrono::steady_clock::now();
    {
      std::optional<audit::Log::Together> together;
      order->receive(BuyOne(order->wanted, together));
    }
    WipeStack<kStackOfPurchase>();
    const bool slow = std::chrono::steady_clock::now() - began >= kSlow;
    lock.lock();
    if (queue_.End(*order, slow)) {
      filled_.notify_all();  // more of its purchases may run now than this thread takes
    }
  }
}

Result<oauth::Url> TokenBuyer::EndpointOf(const TokenSource& source) {
  if (source.issuer.empty()) {
    return oauth::ParseUrl("tokens.token_endpoint", source.token_endpoint);
  }
  auto endpoint = endpoints_.Find(source.issuer, source.ca_file);
  if (!endpoint) {
    endpoint.error().code = Code::kUnavailable;  // the identity server may be right again at the next try
  }
  return endpoint;
}

tokens::Purchase TokenBuyer::BuyOne(const tokens::Wanted& wanted, std::optional<audit::Log::Together>& together) {
  const auto policy = policy_.load();
  const auto client = policy->FindClient(wanted.client_id);
  if (!client || !(*client)->tokens) {
    return std::unexpected(OfClient({.code = Code::kFailedPrecondition,
                                     .message = "the client is no longer configured for access tokens",
                                     .detail = {}}));
  }
  Buying buying{.wanted = wanted,
                .policy = *policy,
                .client = **client,
                .endpoint = {},
                .event = {},
                .until = {},
                .together = together};
  auto& event = buying.event;
  event.name = "BuyAccessToken";
  event.caller = kBuyer;
  event.client_id = wanted.client_id;
  event.audience = (*client)->tokens->audience;
  event.scope = wanted.scope;
  event.resource = wanted.resource;
  event.kid = wanted.kid;
  auto endpoint = EndpointOf(*(*client)->tokens);
  if (!endpoint) {
    return FailedByServer(buying, OfClient(endpoint.error()));
  }
  buying.endpoint = *std::move(endpoint);
  if (wanted.IsBound() && !IsRequestTarget(HtuOf(buying.endpoint))) {
    return FailedByServer(buying,
                          OfClient({.code = Code::kUnavailable,
                                    .message = "the token_endpoint has a character that the htu of a DPoP proof "
                                               "cannot hold",
                                    .detail = {}}));
  }
  return BuyFrom(buying);
}

tokens::Purchase TokenBuyer::BuyFrom(Buying& buying) {
  auto credentials = NewCredentials(buying, NonceFor(buying));
  if (!credentials) {
    return Failed(buying, credentials.error());
  }
  buying.event.jti = credentials->jti;
  auto kid = credentials->kid;
  buying.until = std::chrono::steady_clock::now() + kExchangeLimit;
  auto asked = std::chrono::steady_clock::now();
  auto answer = Send(buying, *std::move(credentials));
  if (answer && MayRepeat(buying, *answer)) {
    KeepNonce(buying, *answer);
    credentials = NewCredentials(buying, answer->dpop_nonce);  // servers take each assertion and each proof once
    if (!credentials) {
      return Failed(buying, credentials.error());
    }
    buying.event.jti = credentials->jti;
    kid = credentials->kid;
    asked = std::chrono::steady_clock::now();
    answer = Send(buying, *std::move(credentials));
  }
  if (!answer) {
    return FailedByServer(buying, OfClient(answer.error()));
  }
  KeepNonce(buying, *answer);
  if (answer->status != kGranted) {
    buying.event.error = oauth::ErrorOf(*answer);
    auto failed = FailedByServer(buying, RefusalOf(*answer, buying.event.error, kid));
    failed.error().error.message += "; assertiond's audit log has it as BuyAccessToken";
    return failed;
  }
  auto token = oauth::TakeToken(*answer);
  if (!token) {
    return FailedByServer(buying, OfClient(token.error()));
  }
  if (auto other = CheckType(buying.wanted, token->token_type)) {
    return Failed(buying, *std::move(other));
  }
  auto& event = buying.event;
  if (!token->scope.empty()) {
    event.scope = token->scope;
  }
  event.outcome = "OK";
  event.token = tokens::DigestOf(token->access_token);
  event.lifetime = token->expires_in;
  auto line = RecordPurchase(buying);
  if (auto why = line == nullptr ? std::nullopt : line->WhyLost()) {
    return std::unexpected(OfClient(*std::move(why)));
  }
  if (token->scope.empty()) {
    token->scope = buying.wanted.scope;  // RFC 6749 section 5.1
  }
  return tokens::Bought{.token = std::move(token->access_token),
                        .type = std::move(token->token_type),
                        .scope = std::move(token->scope),
                        .lifetime = token->expires_in,
                        .line = std::move(line),
                        .asked = asked};
}

tokens::Purchase TokenBuyer::Failed(Buying& buying, tokens::Refusal refusal) const {
  buying.event.outcome = "FAILED";
  buying.event.reason = refusal.error.message;
  Record(buying.event).wait();  // releases nothing, but a caller who is told of the failure finds its line
  return std::unexpected(std::move(refusal));
}

// The endpoint may have moved.
tokens::Purchase TokenBuyer::FailedByServer(Buying& buying, tokens::Refusal refusal) {
  if (refusal.error.code == Code::kUnavailable && !refusal.by_credentials) {
    endpoints_.Doubt(buying.client.tokens->issuer, buying.client.tokens->ca_file);
  }
  return Failed(buying, std::move(refusal));
}

Result<oauth::HttpAnswer> TokenBuyer::Send(const Buying& buying, Credentials credentials) const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(buying.until - std::chrono::steady_clock::now());
  if (left.count() <= 0) {
    return Fail(Code::kUnavailable, "no answer from " + buying.endpoint.origin + " in time");
  }
  oauth::HttpRequest how;
  how.dpop_proof = std::move(credentials.proof);
  how.limit = left;
  how.most_octets = kMostOfAnswer;
  how.given_up = stop_.get_token();
  return oauth::PostForm(buying.endpoint, buying.client.tokens->ca_file,
                         Form(buying.client, buying.wanted, std::move(credentials.assertion)), std::move(how));
}

// The server wants a nonce of its own in the proof (RFC 9449 section 8).
bool TokenBuyer::MayRepeat(const Buying& buying, const oauth::HttpAnswer& answer) const {
  return buying.wanted.IsBound() && answer.status != kGranted && IsDpopNonce(answer.dpop_nonce) &&
         oauth::ErrorOf(answer) == kUseDpopNonce && !stop_.stop_requested();
}

std::string TokenBuyer::NonceFor(const Buying& buying) {
  if (!buying.wanted.IsBound()) {
    return {};
  }
  const MutexLock lock(mutex_);
  const auto found = nonces_.find(ServerOf(*buying.client.tokens));
  return found == nonces_.end() ? std::string() : found->second;
}

void TokenBuyer::KeepNonce(const Buying& buying, const oauth::HttpAnswer& answer) {
  if (!buying.wanted.IsBound()) {
    return;
  }
  const MutexLock lock(mutex_);
  const auto& server = ServerOf(*buying.client.tokens);
  if (IsDpopNonce(answer.dpop_nonce)) {
    nonces_[server] = answer.dpop_nonce;
  } else if (answer.status != kGranted) {
    nonces_.erase(server);  // it may be why: the next proof has none
  }
}

// Both lines are recorded at once, so they share a sync.
std::expected<TokenBuyer::Credentials, tokens::Refusal> TokenBuyer::NewCredentials(const Buying& buying,
                                                                                   const std::string& nonce) const {
  auto made = NewAssertion(buying);
  if (!made) {
    return std::unexpected(OfClient(made.error()));
  }
  std::optional<Result<Signed>> proof;
  if (buying.wanted.IsBound()) {
    proof = NewProof(buying, nonce);
  }
  auto recorded = Record(made->event);
  if (proof && *proof) {
    if (auto durable = Record((*proof)->event).get(); !durable) {
      return std::unexpected(OfClient(durable.error()));
    }
  }
  if (auto durable = recorded.get(); !durable) {
    return std::unexpected(OfClient(durable.error()));
  }
  Credentials credentials{.assertion = std::move(made->assertion.jws),
                          .proof = {},
                          .jti = std::move(made->event.jti),
                          .kid = std::move(made->event.kid)};
  if (!proof) {
    return credentials;
  }
  if (!*proof) {
    return std::unexpected(OfClient(proof->error()));
  }
  auto& signed_proof = (*proof)->assertion;
  if (signed_proof.key->kid != buying.wanted.kid) {  // those who ask now want another token: they need not pause
    return std::unexpected(tokens::Refusal{.error = {.code = Code::kUnavailable,
                                                     .message = "the key of the DPoP proofs was replaced; try again",
                                                     .detail = {}}});
  }
  credentials.proof = std::move(signed_proof.jws);
  return credentials;
}

Result<TokenBuyer::Signed> TokenBuyer::NewAssertion(const Buying& buying) const {
  const auto& client = buying.client;
  ASSIGN_OR_RETURN(
      auto claims,
      buying.policy.ApproveTrial({.client_id = client.client_id, .audience = client.tokens->audience, .lifetime = {}}));
  audit::Event event;
  event.name = "CreateAssertion";
  event.client_id = client.client_id;
  event.audience = claims.audience();
  return Sign(std::move(claims), std::move(event));
}

Result<TokenBuyer::Signed> TokenBuyer::NewProof(const Buying& buying, const std::string& nonce) const {
  audit::Event event;
  event.name = "CreateDpopProof";
  event.client_id = buying.client.tokens->dpop_client;
  event.purpose = NameOf(kPurposes, Purpose::kDpop);
  event.htm = "POST";
  event.htu = HtuOf(buying.endpoint);
  ASSIGN_OR_RETURN(auto claims,
                   buying.policy.ApproveTrial(DpopProofRequest{
                       .client_id = event.client_id, .htm = event.htm, .htu = event.htu, .ath = {}, .nonce = nonce}));
  return Sign(std::move(claims), std::move(event));
}

// The way of every JWS: policy before it, then HSM; the caller records the event before the JWS leaves.
Result<TokenBuyer::Signed> TokenBuyer::Sign(ApprovedClaims claims, audit::Event event) const {
  event.caller = kBuyer;
  event.jti = claims.jti();
  auto made = std::make_shared<std::promise<Result<Assertion>>>();
  auto waiting = made->get_future();
  RETURN_IF_ERROR(hsms_.Submit({.claims = std::move(claims),
                                .caller = std::string(kBuyer),
                                .deadline = std::chrono::steady_clock::now() + kSigningLimit,
                                .done = [made](Result<Assertion> assertion) { made->set_value(std::move(assertion)); },
                                .ticket = std::make_shared<AssertionTicket>()}));
  ASSIGN_OR_RETURN(auto assertion, waiting.get());
  event.kid = assertion.key->kid;
  event.outcome = "OK";
  return Signed{.assertion = std::move(assertion), .event = std::move(event)};
}

// Ready once the line is durable, or lost.
std::future<Status> TokenBuyer::Record(const audit::Event& event) const {
  std::promise<Status> done;
  auto waiting = done.get_future();
  if (audit_ == nullptr) {
    done.set_value({});
  } else {
    audit_->Record(event, [done = std::move(done)](const Status& recorded) mutable { done.set_value(recorded); });
  }
  return waiting;
}

// Does not wait: each hand-out of the token waits for a line of its own, which the log has after this one.
tokens::PurchaseLinePtr TokenBuyer::RecordPurchase(Buying& buying) const {
  if (audit_ == nullptr) {
    return nullptr;
  }
  buying.together.emplace(*audit_);
  auto line = std::make_shared<tokens::PurchaseLine>();
  audit_->Record(buying.event, [line](const Status& recorded) { line->End(recorded); });
  return line;
}

}  // namespace assertion
