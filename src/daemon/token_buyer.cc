#include "daemon/token_buyer.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <deque>
#include <future>
#include <optional>
#include <string_view>
#include <utility>

#include "assertion/wiped_stack.h"
#include "oauth/form.h"
#include "oauth/token_answer.h"
#include "service/message.h"

namespace assertion {
namespace {

constexpr std::size_t kThreads = 32;
constexpr std::chrono::seconds kSlow{5};  // an origin whose last purchase took so long gets one at once
constexpr std::chrono::seconds kSigningLimit{10};
constexpr std::size_t kStackOfPurchase = std::size_t{64} << 10U;  // httplib reads an answer by way of the stack
constexpr std::chrono::seconds kExchangeLimit{15};                // a stop waits for it
constexpr std::string_view kBuyer = "assertiond";                 // the caller, in the audit log
constexpr const char* kJwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
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
  form.emplace_back("resource", wanted.resource);
  return form;
}

// The meaning of the identity server's refusal (RFC 6749 section 5.2).
tokens::Refusal RefusalOf(const oauth::HttpAnswer& answer) {
  const auto word = oauth::ErrorOf(answer);
  tokens::Refusal refusal;
  refusal.retry_after = oauth::RetryAfterOf(answer.retry_after, std::chrono::system_clock::now());
  refusal.error.message = "the identity server answered HTTP " + std::to_string(answer.status) +
                          (word.empty() ? "" : ", " + word) + "; the audit log of assertiond has the try";
  if (answer.status == kTooManyRequests) {
    refusal.error.code = Code::kResourceExhausted;
    refusal.of_client = true;
  } else if (answer.status >= kServerError || word.empty()) {
    refusal.error.code = Code::kUnavailable;
    refusal.of_client = true;
  } else if (word == "invalid_client" || word == "unauthorized_client" || word == "invalid_grant") {
    refusal.error.code = Code::kUnavailable;
    refusal.of_client = true;
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

void TokenBuyer::Buy(const tokens::Wanted& wanted, tokens::AccessTokens::Receive receive) {
  PurchaseQueue::Order order{.wanted = wanted, .receive = std::move(receive), .origin = OriginFor(wanted.client_id)};
  {
    const MutexLock lock(mutex_);
    if (!stopping_ && queue_.Add(order)) {
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
  const auto url = oauth::ParseUrl("it", source.issuer.empty() ? source.token_endpoint : source.issuer);
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
    stopping_ = true;
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
      if (!stopping_) {
        order = queue_.Take();
      }
      return stopping_ || order;
    });
    if (!order) {
      return;
    }
    lock.unlock();
    const auto began = std::chrono::steady_clock::now();
    order->receive(BuyOne(order->wanted));
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

tokens::Purchase TokenBuyer::BuyOne(const tokens::Wanted& wanted) {
  const auto policy = policy_.load();
  const auto client = policy->FindClient(wanted.client_id);
  if (!client || !(*client)->tokens) {
    return std::unexpected(OfClient({.code = Code::kFailedPrecondition,
                                     .message = "the client is no longer configured for access tokens",
                                     .detail = {}}));
  }
  const auto& source = *(*client)->tokens;
  audit::Event event;
  event.name = "BuyAccessToken";
  event.caller = kBuyer;
  event.client_id = wanted.client_id;
  event.audience = source.audience;
  event.scope = wanted.scope;
  const auto failed = [&](tokens::Refusal refusal) {
    event.outcome = "FAILED";
    event.reason = refusal.error.message;
    static_cast<void>(Record(event));  // releases nothing
    if (refusal.error.code == Code::kUnavailable && !refusal.by_credentials) {
      endpoints_.Doubt(source.issuer, source.ca_file);
    }
    return tokens::Purchase(std::unexpected(std::move(refusal)));
  };
  const auto endpoint = EndpointOf(source);
  if (!endpoint) {
    return failed(OfClient(endpoint.error()));
  }
  auto assertion = NewAssertion(*policy, **client);
  if (!assertion) {
    return std::unexpected(OfClient(assertion.error()));
  }
  auto answer =
      oauth::PostForm(*endpoint, source.ca_file, Form(**client, wanted, *std::move(assertion)), kExchangeLimit);
  if (!answer) {
    return failed(OfClient(answer.error()));
  }
  constexpr int kGranted = 200;
  if (answer->status != kGranted) {
    return failed(RefusalOf(*answer));
  }
  auto token = oauth::TakeToken(*answer);
  if (!token) {
    return failed(OfClient(token.error()));
  }
  if (!token->scope.empty()) {
    event.scope = token->scope;
  }
  event.outcome = "OK";
  event.token = tokens::DigestOf(token->access_token);
  event.lifetime = token->expires_in;
  if (const auto recorded = Record(event); !recorded) {
    return std::unexpected(OfClient(recorded.error()));
  }
  if (token->scope.empty()) {
    token->scope = wanted.scope;  // RFC 6749 section 5.1
  }
  return tokens::Bought{.token = std::move(token->access_token),
                        .type = std::move(token->token_type),
                        .scope = std::move(token->scope),
                        .lifetime = token->expires_in};
}

// The way of every assertion: policy, HSM, audit line.
Result<std::string> TokenBuyer::NewAssertion(const Policy& policy, const Client& client) const {
  ASSIGN_OR_RETURN(
      auto claims,
      policy.ApproveTrial({.client_id = client.client_id, .audience = client.tokens->audience, .lifetime = {}}));
  audit::Event event;
  event.name = "CreateAssertion";
  event.caller = kBuyer;
  event.client_id = client.client_id;
  event.audience = claims.audience();
  event.jti = claims.jti();
  auto made = std::make_shared<std::promise<Result<Assertion>>>();
  auto waiting = made->get_future();
  RETURN_IF_ERROR(hsms_.Submit({.claims = std::move(claims),
                                .caller = std::string(kBuyer),
                                .deadline = std::chrono::steady_clock::now() + kSigningLimit,
                                .done = [made](Result<Assertion> assertion) { made->set_value(std::move(assertion)); },
                                .ticket = std::make_shared<AssertionTicket>()}));
  auto assertion = waiting.get();
  if (!assertion) {
    return std::unexpected(assertion.error());
  }
  event.kid = assertion->key->kid;
  event.outcome = "OK";
  RETURN_IF_ERROR(Record(event));
  return std::move(assertion->jws);
}

// Returns once the line is durable.
Status TokenBuyer::Record(const audit::Event& event) const {
  if (audit_ == nullptr) {
    return {};
  }
  std::promise<Status> done;
  auto waiting = done.get_future();
  audit_->Record(event, [&done](const Status& recorded) { done.set_value(recorded); });
  return waiting.get();
}

}  // namespace assertion
