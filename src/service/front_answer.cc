#include "service/front_answer.h"

#include <grpcpp/support/status.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "assertion/secret.h"
#include "assertion/v1/access_token.pb.h"
#include "assertion/v1/assertion.pb.h"
#include "service/message.h"
#include "service/status.h"

namespace assertion::service {
namespace {

using std::chrono::seconds;

constexpr int kOk = 200;
constexpr std::size_t kMostEscape = 6;  // octets that one octet takes in JSON

HttpAnswer Json(int status, std::string body) {
  return {.status = status,
          .body = std::move(body),
          .headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}, {"Pragma", "no-cache"}}};
}

// Writes one JSON object in octets that are reserved before, so that no copy of a secret is left behind.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::size_t room) {
    constexpr std::size_t kNames = 256;
    text_.reserve((kMostEscape * room) + kNames);
  }

  void Add(std::string_view name, std::string_view value) {
    Begin(name);
    text_ += '"';
    for (const char c : value) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      const auto octet = static_cast<unsigned char>(c);
      if (octet < ' ') {
        text_.append("\\u00").append(1, kDigits[octet >> 4U]).append(1, kDigits[octet & 0xFU]);
      } else {
        text_.append(c == '"' || c == '\\' ? "\\" : "").append(1, c);
      }
    }
    text_ += '"';
  }

  void Add(std::string_view name, std::int64_t value) {
    Begin(name);
    text_.append(std::to_string(value));
  }

  std::string Take() {
    text_ += '}';
    return std::move(text_);
  }

 private:
  void Begin(std::string_view name) { text_.append(text_.empty() ? "{\"" : ",\"").append(name).append("\":"); }

  std::string text_;
};

std::int64_t SecondsUntil(std::int64_t expires_at, Time now) {
  return std::max<std::int64_t>(0, expires_at - now.time_since_epoch().count());
}

// RFC 6749 section 5.2 leaves out quotation marks, backslashes and all that is not ASCII.
std::string Description(std::string_view message) {
  std::string text(message);
  std::ranges::replace(text, '"', '\'');
  std::ranges::replace(text, '\\', '/');
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

struct Mapped {
  int status;
  const char* word;
};

Mapped MappedTo(int code) {
  switch (static_cast<grpc::StatusCode>(code)) {
    case grpc::StatusCode::INVALID_ARGUMENT:
      return {.status = 400, .word = "invalid_request"};
    case grpc::StatusCode::UNAUTHENTICATED:
      return {.status = 403, .word = "invalid_client"};
    case grpc::StatusCode::PERMISSION_DENIED:
      return {.status = 403, .word = "unauthorized_client"};
    case grpc::StatusCode::NOT_FOUND:
      return {.status = 404, .word = "invalid_request"};
    case grpc::StatusCode::FAILED_PRECONDITION:
      return {.status = 409, .word = "invalid_request"};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {.status = 429, .word = "temporarily_unavailable"};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {.status = 504, .word = "temporarily_unavailable"};
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::CANCELLED:
      return {.status = 503, .word = "temporarily_unavailable"};
    default:
      return {.status = 500, .word = "server_error"};
  }
}

}  // namespace

HttpAnswer TokenAnswer(const Result<grpc::ByteBuffer>& outcome, Time now) {
  if (!outcome) {
    return ErrorAnswer(outcome.error());
  }
  v1::GetAccessTokenResponse reply;
  if (const auto parsed = ParseAndWipe(*outcome, reply); !parsed) {
    return ErrorAnswer(parsed.error());
  }
  ObjectWriter json(reply.ByteSizeLong());
  json.Add("access_token", reply.access_token());
  json.Add("token_type", reply.token_type());
  json.Add("expires_in", SecondsUntil(reply.expires_at().seconds(), now));
  if (!reply.scope().empty()) {
    json.Add("scope", reply.scope());
  }
  if (!reply.kid().empty()) {
    json.Add("kid", reply.kid());
  }
  WipeOctets(*reply.mutable_access_token());
  return Json(kOk, json.Take());
}

HttpAnswer AssertionAnswer(const Result<grpc::ByteBuffer>& outcome, Time now) {
  if (!outcome) {
    return ErrorAnswer(outcome.error());
  }
  v1::CreateAssertionResponse reply;
  if (const auto parsed = Parse(*outcome, reply); !parsed) {
    return ErrorAnswer(parsed.error());
  }
  ObjectWriter json(reply.ByteSizeLong());
  json.Add("assertion", reply.assertion());
  if (!reply.client_assertion_type().empty()) {
    json.Add("client_assertion_type", reply.client_assertion_type());
  }
  json.Add("expires_in", SecondsUntil(reply.expires_at().seconds(), now));
  json.Add("kid", reply.kid());
  if (!reply.jti().empty()) {
    json.Add("jti", reply.jti());
  }
  return Json(kOk, json.Take());
}

seconds RetryAfterOf(const Error& error) { return std::chrono::ceil<seconds>(error.retry_delay); }

int HttpStatusOf(const Error& error) { return MappedTo(ToStatus(error).code()).status; }

HttpAnswer ErrorAnswer(const Error& error) {
  const auto [status, word] = MappedTo(ToStatus(error).code());
  ObjectWriter json(error.message.size());
  json.Add("error", word);
  json.Add("error_description", Description(error.message));
  auto answer = Json(status, json.Take());
  if (const auto delay = RetryAfterOf(error); delay.count() > 0) {
    answer.headers.emplace_back("Retry-After", std::to_string(delay.count()));
  }
  return answer;
}

}  // namespace assertion::service
