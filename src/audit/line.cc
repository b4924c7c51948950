#include "audit/line.h"

#include <array>
#include <cstdio>
#include <utility>

#include "assertion/clock.h"
#include "jws/base64url.h"
#include "jws/thumbprint.h"

namespace assertion::audit {
namespace {

using nlohmann::ordered_json;
using TimePoint = std::chrono::system_clock::time_point;

constexpr std::size_t kLongestText = 256;
constexpr std::size_t kLongestAudience = 1024;

std::string Rfc3339Micros(TimePoint now) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now - whole).count();
  auto text = Rfc3339(whole);
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%06dZ", static_cast<int>(micros));
  text.replace(text.size() - 1, 1, fraction.data());
  return text;
}

void Set(ordered_json& line, const char* name, std::string_view text, std::size_t longest = kLongestText) {
  if (!text.empty()) {
    line[name] = text.substr(0, longest);
  }
}

// Without the opening brace, which Chain writes.
std::string DumpBody(const ordered_json& line) {
  return line.dump(-1, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace).substr(1);
}

}  // namespace

Head Genesis() { return {.sequence = 0, .hash = jws::Base64UrlEncode(Bytes(32, 0))}; }

std::string Body(const Event& event, TimePoint now) {
  ordered_json line = {{"time", Rfc3339Micros(now)}, {"event", event.name}};
  Set(line, "outcome", event.outcome);
  Set(line, "caller", event.caller);
  Set(line, "client_id", event.client_id);
  Set(line, "audience", event.audience, kLongestAudience);
  Set(line, "jti", event.jti);
  Set(line, "kid", event.kid);
  if (event.lifetime) {
    line["lifetime_s"] = event.lifetime->count();
  }
  Set(line, "request_id", event.request_id);
  Set(line, "change", event.change);
  Set(line, "reason", event.reason);
  if (event.latency) {
    line["latency_us"] = event.latency->count();
  }
  Set(line, "trace_id", event.trace_id);
  return DumpBody(line);
}

std::string Body(const ordered_json& members, std::string_view event, TimePoint now) {
  ordered_json line = {{"time", Rfc3339Micros(now)}, {"event", event}};
  line.update(members);
  return DumpBody(line);
}

std::string Chain(Head& head, std::string_view body) {
  ++head.sequence;
  std::string line = R"({"seq":)" + std::to_string(head.sequence) + R"(,"prev":")" + head.hash + R"(",)";
  line.append(body);
  head.hash = jws::Sha256Thumbprint(AsBytes(line));
  return line;
}

Result<Line> ParseLine(std::string_view text) {
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto has = [&](const char* name, nlohmann::json::value_t type) {
    const auto found = json.find(name);
    return found != json.end() && found->type() == type;
  };
  using Type = nlohmann::json::value_t;
  if (text.size() > kLongestLine || !json.is_object() || !has("seq", Type::number_unsigned) ||
      !has("prev", Type::string) || !has("event", Type::string)) {
    return Fail(Code::kInvalidArgument, "not a line of an audit log");
  }
  Line line{.sequence = json["seq"].get<std::uint64_t>(),
            .prev = json["prev"].get<std::string>(),
            .event = json["event"].get<std::string>(),
            .hash = jws::Sha256Thumbprint(AsBytes(text)),
            .members = {}};
  line.members = std::move(json);
  return line;
}

}  // namespace assertion::audit
