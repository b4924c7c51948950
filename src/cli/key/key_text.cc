#include "cli/key/key_text.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/key_record.h"
#include "cli/instant.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

using std::chrono::days;

constexpr days kWarning{30};

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

// For example "2027-11-24 (364 days left)".
std::string ExpiryText(const v1::Key& key, Time now) {
  if (key.x5t_s256().empty()) {
    return "none";
  }
  const auto until = ToTime(key.not_after());
  const auto date = Rfc3339(until).substr(0, std::string_view("2026-11-24").size());
  if (until < now) {
    return date + " EXPIRED " + Relative(until, now);
  }
  // Counted between the dates, of which one is shown: keys of one second do not differ by a day.
  const auto left = std::chrono::floor<days>(until) - std::chrono::floor<days>(now);
  return date + " (" + std::to_string(left.count()) + (left.count() == 1 ? " day left)" : " days left)") +
         (until - now < kWarning ? " EXPIRES SOON" : "");
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

// Its state, and what it waits for.
std::string StateText(const v1::Key& key) {
  return StateName(key.state()) +
         (key.waits_for().empty() ? "" : ", cannot sign: waits for " + Printable(key.waits_for()));
}

using Row = std::vector<std::string>;

// Makes each column as wide as its widest cell.
std::string Aligned(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths.at(i) = std::max(widths.at(i), row.at(i).size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      text += row.at(i) + std::string(widths.at(i) - row.at(i).size() + 2, ' ');
    }
    text += row.back() + "\n";
  }
  return text;
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
  const auto size = key.key_bits() == 0 ? "not on the token any more" : std::to_string(key.key_bits()) + " bits";
  auto text = "client           " + key.client_id() + "\nversion          " + std::to_string(key.version()) +
              "\nkid              " + key.kid() + "\nHSM              " + Printable(key.hsm()) + "\nCKA_ID           " +
              Hex(AsBytes(key.cka_id())) + "\norigin           " + OriginText(key.origin()) + "\nalgorithm        " +
              key.algorithm() + ", " + size + "\nstate            " + StateText(key) + "\npublished from   " +
              instant(key.publish_from()) + "\nsigns from       " + instant(key.sign_from()) + "\nsigns until      " +
              instant(key.sign_until()) + "\npublished until  " + instant(key.publish_until()) + "\ncertificate      " +
              ExpiryText(key, now) + "\n";
  if (!key.x5t_s256().empty()) {
    text += "  valid from     " + Rfc3339(ToTime(key.not_before())) + "\n  valid until    " +
            Rfc3339(ToTime(key.not_after())) + "\n  x5t#S256       " + key.x5t_s256() + "\n";
  }
  return text;
}

std::string KeyLine(const v1::Key& key, Time now) {
  return "key " + key.kid() + " for client " + key.client_id() + ": " + key.algorithm() + ", " +
         std::to_string(key.key_bits()) + " bits, " + StateText(key) + ", " +
         (key.x5t_s256().empty() ? "no certificate" : "certificate until " + ExpiryText(key, now)) + "\n";
}

std::vector<std::string> KeyRow(const v1::Key& key, Time now) {
  auto [since, until] = SpanOf(key);
  return {key.client_id(),  key.kid(),        key.algorithm(),      StateText(key),
          std::move(since), std::move(until), ExpiryText(key, now), key.hsm()};
}

std::string KeyTable(const v1::ListKeysResponse& response, Time now) {
  // Clients without a key have their rows in the order by client id, too.
  std::set<std::string, std::less<>> waiting;
  for (const auto& [client_id, version] : response.versions()) {
    waiting.insert(client_id);
  }
  std::vector<Row> rows = {{"CLIENT", "KID", "ALGORITHM", "STATE", "SINCE", "UNTIL", "CERTIFICATE UNTIL", "HSM"}};
  const auto add_keyless = [&](auto end) {
    for (auto client = waiting.begin(); client != end; client = waiting.erase(client)) {
      rows.push_back({*client, "no key", "-", "-", "-", "-", "-", "-"});
    }
  };
  for (const auto& key : response.keys()) {
    add_keyless(waiting.lower_bound(key.client_id()));
    waiting.erase(key.client_id());
    rows.push_back(KeyRow(key, now));
  }
  add_keyless(waiting.end());
  const auto is_elsewhere = [&](const auto& key) { return key.hsm() != response.keys(0).hsm(); };
  if (std::ranges::none_of(response.keys(), is_elsewhere)) {
    std::ranges::for_each(rows, [](Row& row) { row.pop_back(); });  // all on one HSM
  }
  return Aligned(rows);
}

}  // namespace assertion::cli
