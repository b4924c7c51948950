#include "cli/key/key_text.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/key_record.h"
#include "cli/command_line.h"
#include "cli/instant.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

using std::chrono::days;

constexpr std::size_t kLeastShortKid = 8;

// When the present state began and when it ends; "-": unknown.
struct Span {
  std::string since = "-";
  std::string until = "-";
};

Span SpanOf(const v1::Key& key) {
  const auto text = [](const google::protobuf::Timestamp& timestamp) { return InstantText(ToTime(timestamp)); };
  switch (key.state()) {
    case v1::KEY_STATE_STAGED:
      return {.since = "-", .until = text(key.publish_from())};
    case v1::KEY_STATE_PUBLISHED:
      return {.since = text(key.publish_from()), .until = text(key.sign_from())};
    case v1::KEY_STATE_SIGNING:
      return {.since = text(key.sign_from()), .until = text(key.sign_until())};
    case v1::KEY_STATE_RETIRING:
      return {.since = text(key.sign_until()), .until = text(key.publish_until())};
    case v1::KEY_STATE_WITHDRAWN:
      return {.since = text(key.publish_until()), .until = "-"};
    default:
      return {};
  }
}

// Servers that do not know adoption leave the origin out.
const char* OriginName(v1::KeyOrigin origin) {
  return origin == v1::KEY_ORIGIN_ADOPTED ? "adopted" : origin == v1::KEY_ORIGIN_IMPORTED ? "imported" : "generated";
}

const char* OriginText(v1::KeyOrigin origin) {
  return origin == v1::KEY_ORIGIN_ADOPTED    ? "adopted, born outside: assertiond did not generate it"
         : origin == v1::KEY_ORIGIN_IMPORTED ? "imported, born outside: another party made it, and other copies of it "
                                               "may exist"
                                             : "generated in the token by assertiond";
}

}  // namespace

const char* StateName(v1::KeyState state) {
  switch (state) {
    case v1::KEY_STATE_STAGED:
      return "staged";
    case v1::KEY_STATE_PUBLISHED:
      return "published";
    case v1::KEY_STATE_SIGNING:
      return "signing";
    case v1::KEY_STATE_RETIRING:
      return "retiring";
    case v1::KEY_STATE_WITHDRAWN:
      return "withdrawn";
    default:
      return "unknown";
  }
}

Cell StateCell(const v1::Key& key) {
  if (!key.waits_for().empty()) {
    return {StateName(key.state()) + (", cannot sign: waits for " + Printable(key.waits_for())), Shade::kBad};
  }
  switch (key.state()) {
    case v1::KEY_STATE_SIGNING:
      return {StateName(key.state()), Shade::kGood};
    case v1::KEY_STATE_WITHDRAWN:
      return {StateName(key.state()), Shade::kPast};
    default:
      return {StateName(key.state()), Shade::kWaiting};
  }
}

Cell ExpiryCell(const v1::Key& key, Time now) {
  if (key.x5t_s256().empty()) {
    return "none";
  }
  const auto until = ToTime(key.not_after());
  const auto date = Rfc3339(until).substr(0, std::string_view("2026-11-24").size());
  if (until < now) {
    return {date + " EXPIRED " + Relative(until, now), Shade::kBad};
  }
  // Counted between the dates, of which one is shown: keys of one second do not differ by a day.
  const auto left = std::chrono::floor<days>(until) - std::chrono::floor<days>(now);
  const auto text = date + " (" + std::to_string(left.count()) + (left.count() == 1 ? " day left)" : " days left)");
  return until - now < kExpiryWarning ? Cell(text + " EXPIRES SOON", Shade::kWaiting) : Cell(text);
}

std::string KeyFlags(const std::string& client_id, const std::string& kid) {
  return "--client-id " + QuotedForShell(Printable(client_id)) + " --kid=" + QuotedForShell(Printable(kid));
}

// Servers that do not know purposes leave them out.
bool HasReaders(const v1::Key& key) {
  return key.purposes().empty() ||
         std::ranges::any_of(key.purposes(), [](const auto& purpose) { return purpose != "dpop"; });
}

nlohmann::ordered_json KeyJson(const v1::Key& key) {
  nlohmann::ordered_json json = {{"client_id", key.client_id()},
                                 {"kid", key.kid()},
                                 {"algorithm", key.algorithm()},
                                 {"key_bits", key.key_bits()},
                                 {"cka_id", Hex(AsBytes(key.cka_id()))},
                                 {"origin", OriginName(key.origin())},
                                 {"version", key.version()},
                                 {"hsm", key.hsm()},
                                 {"state", StateName(key.state())},
                                 {"waits_for", key.waits_for()},
                                 {"purposes", std::vector<std::string>(key.purposes().begin(), key.purposes().end())},
                                 {"publish_from", Rfc3339(ToTime(key.publish_from()))},
                                 {"sign_from", Rfc3339(ToTime(key.sign_from()))},
                                 {"sign_until", Rfc3339(ToTime(key.sign_until()))},
                                 {"publish_until", Rfc3339(ToTime(key.publish_until()))}};
  if (!key.x5t_s256().empty()) {
    json["x5t#S256"] = key.x5t_s256();
    json["not_before"] = Rfc3339(ToTime(key.not_before()));
    json["not_after"] = Rfc3339(ToTime(key.not_after()));
  }
  return json;
}

std::string KeyText(const v1::Key& key, Time now) {
  const auto instant = [now](const google::protobuf::Timestamp& timestamp) {
    const auto time = ToTime(timestamp);
    return InstantText(time) + (time == kNever ? "" : " (" + Relative(time, now) + ")");
  };
  // A key that was revoked first has empty spans: the instant says when it was withdrawn, not when it began.
  const bool withdrawn = key.state() == v1::KEY_STATE_WITHDRAWN;
  const bool published = !withdrawn || ToTime(key.publish_from()) < ToTime(key.publish_until());
  const bool signed_once = !withdrawn || ToTime(key.sign_from()) < ToTime(key.sign_until());
  const auto size = key.key_bits() == 0 ? "not on the token any more" : std::to_string(key.key_bits()) + " bits";
  // TableText keeps a field to its line, whatever the server says. The first label is as wide as that of CustodyLines.
  std::vector<Row> rows = {{"client         ", key.client_id()},
                           {"version", std::to_string(key.version())},
                           {"kid", key.kid()},
                           {"HSM", key.hsm()},
                           {"CKA_ID", Hex(AsBytes(key.cka_id()))},
                           {"origin", OriginText(key.origin())},
                           {"algorithm", key.algorithm() + ", " + size},
                           {"state", StateCell(key).text},
                           {"published from", published ? instant(key.publish_from()) : "never"},
                           {"signs from", signed_once ? instant(key.sign_from()) : "never"},
                           {"signs until", signed_once ? instant(key.sign_until()) : "-"},
                           {published ? "published until" : "withdrawn", instant(key.publish_until())},
                           {"certificate", ExpiryCell(key, now).text}};
  if (!key.x5t_s256().empty()) {
    rows.push_back({"  valid from", Rfc3339(ToTime(key.not_before()))});
    rows.push_back({"  valid until", Rfc3339(ToTime(key.not_after()))});
    rows.push_back({"  x5t#S256", key.x5t_s256()});
  }
  return TableText(rows, false);
}

std::string TextOfRevocation(const v1::Key& key, bool changed) {
  const std::string done = changed ? "revoked: it neither signs nor is published from now on\n"
                                   : "this key was withdrawn before: nothing has changed\n";
  return done + (HasReaders(key)
                     ? "  next: have the identity server forget the key: until then it accepts whatever the key signs. "
                       "Where it holds the certificate, remove that there; where it reads the JWK Set, have it read "
                       "the set again\n"
                     : "  next: nothing: access tokens that are bound to the key end by themselves\n");
}

std::string CustodyLines(const std::string& custody) {
  return "custody          " + Printable(custody) + "\n" +
         (custody.starts_with("not tried")
              ? "  next           the server tries it before it makes the next key of this "
                "type; assertionctl doctor --config FILE --try tries it now\n"
              : "");
}

std::string KeyLine(const v1::Key& key, Time now) {
  return "key " + Printable(key.kid()) + " for client " + Printable(key.client_id()) + ": " +
         Printable(key.algorithm()) + ", " + std::to_string(key.key_bits()) + " bits, " + StateCell(key).text + ", " +
         (key.x5t_s256().empty() ? "no certificate" : "certificate until " + ExpiryCell(key, now).text) + "\n";
}

Row KeyRow(const v1::Key& key, Time now) {
  auto [since, until] = SpanOf(key);
  return {key.client_id(),  key.kid(),        key.algorithm(),      StateCell(key),
          std::move(since), std::move(until), ExpiryCell(key, now), key.hsm()};
}

std::size_t ShortKidLength(const v1::ListKeysResponse& response) {
  std::set<std::string_view> kids;
  for (const auto& key : response.keys()) {
    kids.insert(key.kid());
  }
  auto length = kLeastShortKid;
  for (auto kid = kids.begin(); kid != kids.end() && std::next(kid) != kids.end(); ++kid) {
    const auto differs = std::ranges::mismatch(*kid, *std::next(kid)).in1 - kid->begin();
    length = std::max(length, static_cast<std::size_t>(differs) + 1);
  }
  return length;
}

bool LacksItsLedger(const v1::ListKeysResponse& response, const std::string& client_id) {
  return std::ranges::find(response.rolled_back_ledgers(), client_id, &v1::RolledBackLedger::client_id) !=
         response.rolled_back_ledgers().end();
}

std::string KeyTable(const v1::ListKeysResponse& response, Time now, const TableLook& look) {
  // Clients without a key have their rows in the order by client id, too.
  std::set<std::string, std::less<>> waiting;
  for (const auto& [client_id, version] : response.versions()) {
    waiting.insert(client_id);
  }
  std::vector<Row> rows = {{"CLIENT", "KID", "ALGORITHM", "STATE", "SINCE", "UNTIL", "CERTIFICATE UNTIL", "HSM"}};
  const auto add_keyless = [&](auto end) {
    for (auto client = waiting.begin(); client != end; client = waiting.erase(client)) {
      const auto* const what = LacksItsLedger(response, *client) ? "ledger rolled back: see status" : "no key";
      rows.push_back({*client, {what, Shade::kBad}, "-", "-", "-", "-", "-", "-"});
    }
  };
  const auto kid_length = look.short_kids ? ShortKidLength(response) : std::string::npos;
  for (const auto& key : response.keys()) {
    add_keyless(waiting.lower_bound(key.client_id()));
    waiting.erase(key.client_id());
    auto& row = rows.emplace_back(KeyRow(key, now));
    row.at(1).text = row.at(1).text.substr(0, kid_length);
  }
  add_keyless(waiting.end());
  const auto is_elsewhere = [&](const auto& key) { return key.hsm() != response.keys(0).hsm(); };
  if (std::ranges::none_of(response.keys(), is_elsewhere)) {
    std::ranges::for_each(rows, [](Row& row) { row.pop_back(); });  // all on one HSM
  }
  return TableText(rows, look.coloured);
}

}  // namespace assertion::cli
