#include "cli/console/keys_part.h"

#include <map>
#include <vector>

#include "cli/console/page.h"
#include "cli/console/time_line.h"
#include "cli/html.h"
#include "cli/key/key_text.h"

namespace assertion::cli {
namespace {

// Places in KeyRow.
enum KeyCell : std::size_t { kClient, kKid, kAlgorithm, kState, kSince, kUntil, kCertificate, kHsm };

using KeysOfClient = std::map<std::string, std::vector<const v1::Key*>>;

KeysOfClient ByClient(const v1::ListKeysResponse& response) {
  KeysOfClient clients;
  for (const auto& [client_id, version] : response.versions()) {
    clients[client_id];
  }
  for (const auto& key : response.keys()) {
    clients[key.client_id()].push_back(&key);
  }
  return clients;
}

std::string KeyHtml(const v1::Key& key, const TimeWindow& window, Time now) {
  const auto row = KeyRow(key, now);
  const auto times = row[kState].text + " from " + row[kSince].text + " until " + row[kUntil].text +
                     ", certificate until " + row[kCertificate].text;
  auto html = "<div class=\"key\"><p><span class=\"state\">" + Escaped(row[kState].text) + "</span> <code>" +
              Escaped(row[kKid].text) + "</code></p>\n" + TimeLine(key, window, now, times) + "<p class=\"quiet\">" +
              Escaped(row[kAlgorithm].text + " on " + row[kHsm].text + ", " + times) + "</p>\n";
  if (key.state() != v1::KEY_STATE_WITHDRAWN) {
    html += "<p>" +
            Link("revoke", {{.name = "client_id", .value = key.client_id()}, {.name = "kid", .value = key.kid()}},
                 "Revoke this key") +
            "</p>\n";
  }
  return html + "</div>\n";
}

std::string ClientHtml(const std::string& client_id, const std::vector<const v1::Key*>& keys, const TimeWindow& window,
                       Time now) {
  auto html = "<h3>" + Escaped(client_id) + "</h3>\n";
  if (keys.empty()) {
    html += Paragraph("No key yet.", "warn");
  }
  for (const auto* key : keys) {
    html += KeyHtml(*key, window, now);
  }
  const std::vector<Parameter> named = {{.name = "client_id", .value = client_id}};
  return html + "<p class=\"actions\">" + (keys.empty() ? "" : Link("rotate", named, "Rotate")) +
         Link("generate", named, keys.empty() ? "Generate the first key" : "Generate another key") + "</p>\n";
}

std::string SpanLinks(std::string_view chosen) {
  std::string html = "<p class=\"actions\">";
  for (const auto* span : {"day", "month", "year"}) {
    const bool is_chosen = chosen == span || (std::string_view(span) == "year" && chosen != "day" && chosen != "month");
    html +=
        is_chosen ? "<strong>" + std::string(span) + "</strong>" : Link(".", {{.name = "span", .value = span}}, span);
  }
  return html + "</p>\n";
}

std::string AllKeys(const v1::ListKeysResponse& response, Time now) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& key : response.keys()) {
    auto& row = rows.emplace_back();
    for (const auto& cell : KeyRow(key, now)) {
      row.push_back(Escaped(cell.text));
    }
  }
  return "<details><summary>All keys as a table</summary>\n" +
         Table("All keys", {"Client", "Kid", "Algorithm", "State", "Since", "Until", "Certificate until", "HSM"},
               rows) +
         "</details>\n";
}

}  // namespace

std::string KeysPart(const v1::ListKeysResponse& keys, std::string_view span, Time now) {
  const auto window = WindowOf(span, now);
  auto html = SpanLinks(span) + TimeScale(window);
  for (const auto& [client_id, of_client] : ByClient(keys)) {
    html += ClientHtml(client_id, of_client, window, now);
  }
  return html + AllKeys(keys, now);
}

}  // namespace assertion::cli
