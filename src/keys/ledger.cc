#include "keys/ledger.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <ranges>
#include <set>

#include "assertion/foreign_text.h"
#include "jws/foreign_json.h"
#include "jws/thumbprint.h"

namespace assertion {
namespace {

using nlohmann::json;

constexpr std::array kInstants = {
    std::pair{"publish_from", &KeyRecord::publish_from}, std::pair{"sign_from", &KeyRecord::sign_from},
    std::pair{"sign_until", &KeyRecord::sign_until}, std::pair{"publish_until", &KeyRecord::publish_until}};

// Origins of keys that assertiond did not generate.
constexpr std::array kOrigins = {std::pair{std::string_view("adopted"), KeyOrigin::kAdopted},
                                 std::pair{std::string_view("imported"), KeyOrigin::kImported}};

// Member "not_asked": names of attributes without their prefix, separated by spaces. Tokens limit a ledger's size.
constexpr std::string_view kAttributePrefix = "CKA_";

std::string NotAskedText(const AttributeNames& names) {
  std::string text;
  for (const auto& name : names) {
    text += (text.empty() ? "" : " ") + name.substr(kAttributePrefix.size());
  }
  return text;
}

AttributeNames NotAskedOf(std::string_view text) {
  AttributeNames names;
  for (const auto word : std::views::split(text, ' ')) {
    if (!word.empty()) {
      names.insert(std::string(kAttributePrefix) + std::string(word.begin(), word.end()));
    }
  }
  return names;
}

// Discarded when it is not JSON, is nested too deeply, or an object has a member twice: nlohmann/json would silently
// keep the last.
json ParseStrictly(std::string_view text) {
  if (jws::HasNul(text) || jws::IsNestedTooDeeply(text)) {
    return json::value_t::discarded;
  }
  std::vector<std::set<std::string>> names;
  bool repeated = false;
  const auto watch = [&](int /*depth*/, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) {
      names.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      names.pop_back();
    } else if (event == json::parse_event_t::key) {
      repeated = !names.back().insert(value.get<std::string>()).second || repeated;
    }
    return true;
  };
  auto value = json::parse(text, watch, /*allow_exceptions=*/false);
  return repeated ? json(json::value_t::discarded) : value;
}

// An object's members by type; remembers the first that was wrong, and whether any was left over.
class Members {
 public:
  explicit Members(const json& object) : object_(object) {
    if (!object_.is_object()) {
      wrong_ = "an object";
    }
  }

  std::string Text(const char* name) {
    const auto* value = Take(name, json::value_t::string);
    return value == nullptr ? "" : value->get<std::string>();
  }

  // Nothing when it is not there.
  std::optional<std::string> OptionalText(const char* name) {
    return object_.contains(name) ? std::optional(Text(name)) : std::nullopt;
  }

  std::int64_t Number(const char* name) {
    const auto* value = Take(name, json::value_t::number_unsigned);
    constexpr std::uint64_t kMost = std::uint64_t{1} << 53U;
    if (value != nullptr && value->get<std::uint64_t>() > kMost) {
      Refuse(name);
    }
    return value == nullptr || !wrong_.empty() ? 0 : value->get<std::int64_t>();
  }

  const json& List(const char* name) {
    static const json kEmpty = json::array();
    const auto* value = Take(name, json::value_t::array);
    return value == nullptr ? kEmpty : *value;
  }

  void Refuse(const std::string& name) {
    if (wrong_.empty()) {
      wrong_ = name;
    }
  }

  // The fault; empty if there is none.
  std::string Wrong() const { return wrong_.empty() && taken_ != object_.size() ? "unknown member" : wrong_; }

 private:
  const json* Take(const char* name, json::value_t type) {
    const auto found = wrong_.empty() ? object_.find(name) : object_.end();
    if (found == object_.end() || found->type() != type) {
      Refuse(name);
      return nullptr;
    }
    ++taken_;
    return &*found;
  }

  const json& object_;
  std::size_t taken_ = 0;
  std::string wrong_;
};

std::string ReadKey(const json& value, KeyRecord& record) {
  Members members(value);
  record.kid = members.Text("kid");
  record.algorithm = FindAlgorithm(members.Text("alg"));
  if (record.algorithm == nullptr) {
    members.Refuse("alg");
  }
  const auto id = members.Text("cka_id");
  record.id = ParseHex(id).value_or(Bytes());
  if (record.id.empty() || Hex(record.id) != id) {
    members.Refuse("cka_id");
  }
  if (const auto origin = members.OptionalText("origin")) {
    const auto* const known = std::ranges::find(kOrigins, *origin, [](const auto& entry) { return entry.first; });
    if (known == kOrigins.end()) {
      members.Refuse("origin");
    } else {
      record.origin = known->second;
    }
  }
  if (const auto text = members.OptionalText("not_asked")) {
    record.not_asked = NotAskedOf(*text);
    if (NotAskedText(*record.not_asked) != *text) {
      members.Refuse("not_asked");
    }
  }
  for (const auto& thumbprint : members.List("x5t#S256")) {
    if (!thumbprint.is_string()) {
      members.Refuse("x5t#S256");
      break;
    }
    record.certificates.push_back(thumbprint.get<std::string>());
  }
  for (const auto& [name, instant] : kInstants) {
    record.*instant = Time(std::chrono::seconds(members.Number(name)));
    if (record.*instant > kNever) {
      members.Refuse(name);
    }
  }
  return members.Wrong();
}

std::string ReadRequest(const json& value, PastRequest& request) {
  Members members(value);
  request = {.id = members.Text("id"), .digest = members.Text("digest"), .kid = members.Text("kid")};
  return members.Wrong();
}

// A fault of the keys as a whole.
std::string CheckKeys(const Schedule& keys) {
  std::set<std::string> kids;
  std::set<Bytes> ids;
  for (const auto& key : keys) {
    if (!kids.insert(key.kid).second || !ids.insert(key.id).second) {
      return "a key is listed twice";
    }
  }
  const auto ordered = CheckOrder(keys);
  return ordered ? "" : ordered.error().message;
}

std::unexpected<Error> Unusable(const std::string& why) {
  return Fail(Code::kLedgerUnusable, "the ledger cannot be read: " + why);
}

nlohmann::ordered_json LedgerJson(const ClientLedger& ledger) {
  nlohmann::ordered_json object = {
      {"client_id", ledger.client_id}, {"version", ledger.version}, {"previous", ledger.previous}};
  object["keys"] = json::array();
  for (const auto& key : ledger.keys) {
    nlohmann::ordered_json member = {{"kid", key.kid}, {"alg", key.algorithm->name}, {"cka_id", Hex(key.id)}};
    member["x5t#S256"] = key.certificates;
    for (const auto& [name, instant] : kInstants) {
      member[name] = (key.*instant).time_since_epoch().count();
    }
    for (const auto& [name, origin] : kOrigins) {  // of no other key: ledgers from before adoption keep their hash
      if (key.origin == origin) {
        member["origin"] = name;
      }
    }
    if (key.not_asked) {
      member["not_asked"] = NotAskedText(*key.not_asked);
    }
    object["keys"].push_back(std::move(member));
  }
  object["requests"] = json::array();
  for (const auto& request : ledger.requests) {
    object["requests"].push_back({{"id", request.id}, {"digest", request.digest}, {"kid", request.kid}});
  }
  return object;
}

constexpr const char* kNotStrict = "not JSON, or a member is there twice";
constexpr int kFileVersion = 2;

Result<ClientLedger> ReadLedger(std::string_view text, bool sealed) {
  const auto object = ParseStrictly(text);
  if (object.is_discarded()) {
    return Unusable(kNotStrict);
  }
  Members members(object);
  ClientLedger ledger{.client_id = members.Text("client_id"),
                      .version = members.Number("version"),
                      .previous = sealed ? members.Text("previous") : "",
                      .keys = {},
                      .requests = {}};
  for (const auto& value : members.List("keys")) {
    KeyRecord record;
    if (const auto wrong = ReadKey(value, record); !wrong.empty()) {
      return Unusable("a key's " + wrong);
    }
    ledger.keys.push_back(std::move(record));
  }
  for (const auto& value : members.List("requests")) {
    PastRequest request;
    if (const auto wrong = ReadRequest(value, request); !wrong.empty()) {
      return Unusable("a request's " + wrong);
    }
    ledger.requests.push_back(std::move(request));
  }
  if (const auto wrong = members.Wrong(); !wrong.empty()) {
    return Unusable(wrong);
  }
  if (const auto wrong = CheckKeys(ledger.keys); !wrong.empty()) {
    return Unusable(wrong);
  }
  return ledger;
}

}  // namespace

std::string ToJson(const ClientLedger& ledger) { return LedgerJson(ledger).dump(); }

Result<ClientLedger> ParseLedger(std::string_view text) { return ReadLedger(text, /*sealed=*/true); }

Result<ClientLedger> ParseUnsignedLedger(std::string_view text) { return ReadLedger(text, /*sealed=*/false); }

Result<std::vector<std::string>> ParseLedgerFile(std::string_view text) {
  const auto object = ParseStrictly(text);
  if (object.is_discarded()) {
    return Unusable(kNotStrict);
  }
  Members members(object);
  if (object.is_object() && object.contains("version") && members.Number("version") != kFileVersion) {
    return Unusable("it is of another version of assertiond");
  }
  std::vector<std::string> entries;
  for (const auto& entry : members.List("clients")) {
    entries.push_back(entry.is_string() ? entry.get<std::string>() : entry.dump());
  }
  if (const auto wrong = members.Wrong(); !wrong.empty()) {
    return Unusable(wrong);
  }
  return entries;
}

// An entry that is no text stays what it is: see ParseLedgerFile.
std::string LedgerFileOf(const std::vector<std::string>& entries) {
  auto list = json::array();
  for (const auto& entry : entries) {
    const auto value = entry.starts_with('{') ? ParseStrictly(entry) : json(entry);
    list.push_back(value.is_discarded() ? json(entry) : value);
  }
  nlohmann::ordered_json object = {{"version", kFileVersion}};
  object["clients"] = list;
  return object.dump(1);
}

std::string HashOf(const ClientLedger& ledger) { return jws::Sha256Thumbprint(AsBytes(ToJson(ledger))); }

Error TooOld(const std::string& client_id, std::int64_t version, std::int64_t seen) {
  return {.code = Code::kLedgerUnusable,
          .message = "the ledger of client '" + client_id + "' is of version " + std::to_string(version) +
                     " now, but version " + std::to_string(seen) +
                     " was seen before: it was rolled back, or lost; restore the later one, or see assertionctl key "
                     "accept-ledger",
          .detail = {}};
}

std::string Shown(std::string_view name) {
  constexpr std::size_t kLongest = 64;
  return Shown(name, kLongest, "'");
}

}  // namespace assertion
