#include "oauth/token_answer.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <nlohmann/json.hpp>
#include <ranges>
#include <string_view>
#include <utility>

#include "assertion/foreign_text.h"
#include "jws/foreign_json.h"

namespace assertion::oauth {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr int kGranted = 200;
constexpr std::size_t kLongestToken = 65'536;
constexpr std::size_t kLongestType = 64;
constexpr std::size_t kLongestScope = 4096;
constexpr seconds kUnstated{60};
constexpr seconds kLongestLife = std::chrono::days(1);
constexpr seconds kLongestWait = std::chrono::days(1);

// Recurses: only for what ParseForeign returned.
void WipeStrings(json& value) {
  if (value.is_string()) {
    WipeOctets(value.get_ref<std::string&>());
  } else if (value.is_structured()) {
    for (auto& member : value) {
      WipeStrings(member);
    }
  }
}

std::string VisibleMember(const json& body, const char* name, std::size_t longest) {
  const auto found = body.find(name);
  if (found == body.end() || !found->is_string()) {
    return {};
  }
  const auto& text = found->get_ref<const std::string&>();
  const bool visible = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
  return visible && text.size() <= longest ? text : std::string();
}

// RFC 6749 appendix A.13, a name or a URI, but no comma: the type begins a header field, where others would read two.
bool IsTokenType(std::string_view text) {
  constexpr std::string_view kOfNames = "-._";
  constexpr std::string_view kOfUris = "~:/?#[]@!$&'()*+;=%";
  const bool is_uri = text.contains(':');
  return std::ranges::all_of(text, [&](unsigned char c) {
    return std::isalnum(c) != 0 || kOfNames.contains(static_cast<char>(c)) ||
           (is_uri && kOfUris.contains(static_cast<char>(c)));
  });
}

// The names with one blank between each two, as RFC 6749 section 3.3 has it: some servers write more.
std::string WithSingleBlanks(std::string_view scope) {
  std::string names;
  for (const auto name : std::views::split(scope, ' ')) {
    if (!name.empty()) {
      names.append(names.empty() ? "" : " ").append(std::string_view(name));
    }
  }
  return names;
}

std::optional<std::int64_t> Number(std::string_view digits) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() && end == digits.data() + digits.size() ? std::optional(number) : std::nullopt;
}

// Nothing: a text or number that no clock counts. Some servers write the number as a string.
std::optional<seconds> LifetimeOf(const json& body) {
  const auto found = body.find("expires_in");
  if (found == body.end() || found->is_null()) {
    return kUnstated;
  }
  std::optional<double> length;
  if (found->is_number()) {
    length = found->get<double>();
  } else if (found->is_string()) {
    length = Number(found->get_ref<const std::string&>());
  }
  if (!length || !(*length >= 1)) {
    return std::nullopt;
  }
  return seconds(static_cast<std::int64_t>(std::min(*length, static_cast<double>(kLongestLife.count()))));
}

Result<TokenAnswer> Take(const json& body) {
  const auto found = body.is_object() ? body.find("access_token") : body.end();
  if (!body.is_object() || found == body.end() || !found->is_string()) {
    return Fail(Code::kUnavailable, "the identity server's answer has no access_token");
  }
  const auto& token = found->get_ref<const std::string&>();
  // RFC 6749 appendix A.12; and nothing that would end a header line early.
  if (token.empty() || token.size() > kLongestToken ||
      !std::ranges::all_of(token, [](char c) { return c >= ' ' && c <= '~'; })) {
    return Fail(Code::kUnavailable, "the identity server's access_token is empty, too long, or not printable ASCII");
  }
  if (token.find_first_of(" ,") != std::string::npos) {
    return Fail(Code::kUnavailable,
                "the identity server's access_token has a blank or a comma: a header field would be "
                "read otherwise (RFC 6750 section 2.1)");
  }
  const auto lifetime = LifetimeOf(body);
  if (!lifetime) {
    return Fail(Code::kUnavailable, "the identity server's expires_in is no number of seconds from 1 on");
  }
  TokenAnswer answer{.access_token = Secret(AsBytes(token)),
                     .token_type = VisibleMember(body, "token_type", kLongestType),
                     .scope = VisibleMember(body, "scope", kLongestScope),
                     .expires_in = *lifetime};
  const auto scope = body.find("scope");
  const bool is_stated = scope != body.end() && !scope->is_null();
  if (is_stated && answer.scope.empty() && *scope != json("")) {
    return Fail(Code::kUnavailable, "the identity server's scope is no printable ASCII text of at most 4096 octets");
  }
  if (answer.scope.find_first_of("\"\\") != std::string::npos) {
    return Fail(Code::kUnavailable,
                "the identity server's scope has a quotation mark or a backslash, which no name may have (RFC 6749 "
                "section 3.3)");
  }
  answer.scope = WithSingleBlanks(answer.scope);
  if (answer.token_type.empty()) {
    return Fail(Code::kUnavailable, "the identity server's answer has no token_type");
  }
  if (!IsTokenType(answer.token_type)) {
    return Fail(Code::kUnavailable, "the identity server's token_type is " + Quoted(answer.token_type, kLongestType) +
                                        ", which is neither a name nor a URI (RFC 6749 appendix A.13)");
  }
  return answer;
}

}  // namespace

Result<TokenAnswer> TakeToken(HttpAnswer& answer) {
  auto body = jws::ParseForeign(answer.body);
  WipeOctets(answer.body);
  auto taken = answer.status == kGranted
                   ? Take(body)
                   : Fail(Code::kUnavailable, "the identity server answered HTTP " + std::to_string(answer.status));
  WipeStrings(body);
  return taken;
}

std::string ErrorOf(const HttpAnswer& answer) {
  constexpr std::size_t kLongestError = 64;
  const auto body = jws::ParseForeign(answer.body);
  auto error = body.is_object() ? VisibleMember(body, "error", kLongestError) : std::string();
  return error.find_first_of("\"\\") == std::string::npos ? error : std::string();
}

std::optional<seconds> RetryAfterOf(std::string_view text, std::chrono::system_clock::time_point now) {
  const auto is_number =
      !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return c >= '0' && c <= '9'; });
  if (is_number) {
    return std::min(seconds(Number(text).value_or(kLongestWait.count())), kLongestWait);
  }
  std::tm date{};
  const std::string copy(text);
  const auto* const end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);  // RFC 9110 section 5.6.7
  if (copy.empty() || end == nullptr || *end != '\0') {
    return std::nullopt;
  }
  // In seconds: the nanoseconds of a year after 2262 would overflow.
  const auto wait = seconds(timegm(&date)) - std::chrono::floor<seconds>(now.time_since_epoch());
  return std::clamp(wait, seconds(0), kLongestWait);
}

}  // namespace assertion::oauth
