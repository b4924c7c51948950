#include "audit/line.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "assertion/clock.h"
#include "jws/base64url.h"
#include "jws/foreign_json.h"
#include "jws/thumbprint.h"

namespace assertion::audit {
namespace {

using nlohmann::ordered_json;
using TimePoint = std::chrono::system_clock::time_point;

constexpr std::size_t kLongestText = 256;
constexpr std::size_t kLongestAudience = 1024;
constexpr std::size_t kLongestSummary = 1024;
constexpr std::size_t kLongestScope = 4096;   // of what an identity server grants
constexpr std::size_t kLongestUrl = 2048;     // of an htu
constexpr std::size_t kLongestSubject = 512;  // a service account's name has at most 339 octets
constexpr std::size_t kLongestNotEntitled = 64;
constexpr std::size_t kLongestError = 64;

std::string Rfc3339Micros(TimePoint now) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now - whole).count();
  auto text = Rfc3339(whole);
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%06dZ", static_cast<int>(micros));
  text.replace(text.size() - 1, 1, fraction.data());
  return text;
}

// JSON in ASCII; octets that are not UTF-8 are replaced.
std::string Dump(const ordered_json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace);
}

// Writes a JSON object member by member, without the opening brace, which Chain writes. Every assertion needs one, and
// building a JSON document first would be most of a line's cost.
class Members {
 public:
  // Adds nothing when `text` is empty.
  void Add(std::string_view name, std::string_view text, std::size_t longest = kLongestText) {
    if (text.empty()) {
      return;
    }
    NoteIfCut(name, text.size(), longest);
    text = text.substr(0, longest);
    Begin(name);
    if (IsPlain(text)) {
      text_.append(1, '"').append(text).append(1, '"');
    } else {
      text_ += Dump(text);
    }
  }

  // Cuts the text so that it has at most `longest` octets after escaping.
  void AddShort(std::string_view name, std::string_view text, std::size_t longest) {
    constexpr std::size_t kLongestEscape = 6;
    constexpr std::size_t kQuotes = 2;
    const auto whole = text.size();
    text = text.substr(0, longest);
    for (auto written = IsPlain(text) ? 0 : Dump(text).size() - kQuotes; written > longest;
         written = Dump(text).size() - kQuotes) {
      text.remove_suffix((written - longest + kLongestEscape - 1) / kLongestEscape);
    }
    NoteIfCut(name, whole, text.size());
    Add(name, text, text.size());
  }

  void Add(std::string_view name, std::int64_t number) {
    Begin(name);
    text_ += std::to_string(number);
  }

  void AddTrue(std::string_view name) {
    Begin(name);
    text_ += "true";
  }

  // A reader of a text that was cut must not take it for all of it.
  std::string Finish() && {
    Add("cut", std::exchange(cut_, {}));
    text_ += '}';
    return std::move(text_);
  }

 private:
  static bool IsPlain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  }

  void NoteIfCut(std::string_view name, std::size_t whole, std::size_t longest) {
    if (whole > longest) {
      cut_.append(cut_.empty() ? "" : " ").append(name);
    }
  }

  void Begin(std::string_view name) { text_.append(text_.empty() ? "\"" : ",\"").append(name).append("\":"); }

  std::string text_;
  std::string cut_;  // the names of members whose text was cut
};

}  // namespace

Head Genesis() { return {.sequence = 0, .hash = jws::Base64UrlEncode(Bytes(32, 0))}; }

std::string Body(const Event& event, TimePoint now) {
  Members line;
  line.Add("time", Rfc3339Micros(now));
  line.Add("event", event.name);
  line.Add("outcome", event.outcome);
  line.Add("caller", event.caller);
  const auto add = [&](std::string_view name, std::string_view text, std::size_t longest = kLongestText) {
    if (event.entitled) {
      line.Add(name, text, longest);
    } else {
      line.AddShort(name, text, kLongestNotEntitled);
    }
  };
  add("client_id", event.client_id);
  add("audience", event.audience, kLongestAudience);
  add("profile", event.profile);
  add("purpose", event.purpose);
  add("subject", event.subject, kLongestSubject);
  const auto add_long = [&](std::string_view name, std::string_view text, std::size_t longest) {
    line.AddShort(name, text, event.entitled ? longest : kLongestNotEntitled);
  };
  add_long("scope", event.scope, kLongestScope);
  add_long("resource", event.resource, kLongestUrl);
  add("htm", event.htm);
  add_long("htu", event.htu, kLongestUrl);
  line.Add("jti", event.jti);
  add("kid", event.kid);
  line.Add("alg", event.alg);
  line.Add("token_sha256", event.token);
  line.Add("origin", event.origin);
  if (event.lifetime) {
    line.Add("lifetime_s", event.lifetime->count());
  }
  if (event.expires_at) {
    line.Add("exp", event.expires_at->time_since_epoch().count());
  }
  add("request_id", event.request_id);
  add("change", event.change);
  if (event.pending) {
    line.AddTrue("pending");
  }
  if (event.forced) {
    line.AddTrue("forced");
  }
  line.Add("method", event.method);
  line.Add("requested_by", event.requested_by);
  line.Add("summary", event.summary, kLongestSummary);
  line.Add("digest", event.digest);
  line.Add("config_sha256", event.config_sha256);
  line.Add("difference", event.difference, kLongestSummary);
  if (event.accepted) {
    line.Add("found_version", event.accepted->found);
    line.Add("seen_version", event.accepted->seen);
  }
  line.Add("error", event.error, kLongestError);
  line.Add("reason", event.reason);
  if (event.latency) {
    line.Add("latency_us", event.latency->count());
  }
  if (event.count > 0) {
    line.Add("count", static_cast<std::int64_t>(event.count));
    line.Add("since", event.since);
  }
  line.Add("trace_id", event.trace_id);
  return std::move(line).Finish();
}

std::string Body(const ordered_json& members, std::string_view event, TimePoint now) {
  ordered_json line = {{"time", Rfc3339Micros(now)}, {"event", event}};
  line.update(members);
  return Dump(line).substr(1);
}

std::string Chain(Head& head, std::string_view body) {
  ++head.sequence;
  std::string line = R"({"seq":)" + std::to_string(head.sequence) + R"(,"prev":")" + head.hash + R"(",)";
  line.append(body);
  head.hash = jws::Sha256Thumbprint(AsBytes(line));
  return line;
}

Result<Line> ParseLine(std::string_view text) {
  auto json = jws::ParseForeign(text);
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
