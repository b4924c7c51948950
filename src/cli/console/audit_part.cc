#include "cli/console/audit_part.h"

#include <algorithm>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>

#include "audit/line.h"
#include "audit/verification.h"
#include "cli/audit/files.h"
#include "cli/audit/findings.h"
#include "cli/console/page.h"
#include "cli/html.h"

namespace assertion::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kShownLines = 25;

// The last complete lines of a file.
std::deque<std::string> LastLines(const std::string& file) {
  constexpr std::streamoff kMost = static_cast<std::streamoff>(kShownLines) * (audit::kLongestLine + 1);
  if (!CheckAuditFile(file)) {
    return {};
  }
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  const auto size = static_cast<std::streamoff>(stream.tellg());
  stream.seekg(std::max<std::streamoff>(0, size - kMost));
  std::deque<std::string> lines;
  for (std::string text; std::getline(stream, text) && !stream.eof();) {
    lines.push_back(std::move(text));
    if (lines.size() > kShownLines) {
      lines.pop_front();
    }
  }
  return lines;
}

std::string TakeText(json& members, const char* name) {
  const auto found = members.find(name);
  if (found == members.end()) {
    return "";
  }
  auto text = found->is_string() ? found->get<std::string>() : found->dump();
  members.erase(found);
  return text;
}

std::vector<std::string> AuditRow(const std::string& text) {
  auto line = audit::ParseLine(text);
  if (!line) {
    return {"", "", "<span class=\"bad\">no line of an audit log</span>", "", "", "<code>" + Escaped(text) + "</code>"};
  }
  auto& members = line->members;
  std::vector<std::string> row;
  for (const auto* name : {"seq", "time", "event", "caller", "client_id"}) {
    row.push_back(Escaped(TakeText(members, name)));
  }
  members.erase("prev");
  row.push_back("<code>" + Escaped(members.dump(-1, ' ', false, json::error_handler_t::replace)) + "</code>");
  return row;
}

std::string Verified(const std::vector<std::string>& files, const v1::GetAuditHeadResponse& head) {
  const auto keys = audit::ParsePublicKeys(head.jwk());
  if (!keys) {
    return Paragraph("Not verified: the server's audit key cannot be read: " + keys.error().message, "bad");
  }
  auto opened = OpenAuditFiles(files);
  if (!opened) {
    return Paragraph("Not verified: " + opened.error().message +
                         ". The log is the server's own; start the console as a user who may read it.",
                     "bad");
  }
  const auto last = static_cast<std::uint64_t>(head.sequence());
  const auto found = audit::Verify(std::move(opened->sources), *keys,
                                   {.first = 0, .last = last, .last_hash = last == 0 ? "" : head.hash()});
  std::string html;
  for (const auto& finding : FindingsOf(found)) {
    html += "<p class=\"" + std::string(finding.ok ? "good" : "bad") + "\"><strong>" + Escaped(finding.name) +
            "</strong>: " + Escaped(finding.text) + "</p>\n";
  }
  if (!found.fault && found.last > last) {
    html += Paragraph("The lines after sequence " + std::to_string(last) +
                          " are newer than what the server said above: load the page again to compare them.",
                      "warn");
  }
  return html;
}

}  // namespace

std::string AuditPart(const std::vector<std::string>& files, const v1::GetAuditHeadResponse& head) {
  auto html = Section("The server's end of the log",
                      Paragraph("Sequence " + std::to_string(head.sequence()) + ", last checkpoint " +
                                std::to_string(head.checkpoint_sequence()) + ".") +
                          "<p>Hash <code>" + Escaped(head.hash()) + "</code></p>\n");
  if (files.empty()) {
    return html +
           Section("Log file", Paragraph("To see the last lines, and to have the chain verified, start the console "
                                         "with --audit-log and the server's audit.path.",
                                         "quiet"));
  }
  html += Section("Verification", Verified(files, head));
  auto lines = LastLines(files.back());
  std::vector<std::vector<std::string>> rows;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    rows.push_back(AuditRow(*line));
  }
  return html + Section("Last lines", rows.empty()
                                          ? Paragraph("There is none that can be read.", "warn")
                                          : Table("Last lines of " + files.back() + ", newest first",
                                                  {"Sequence", "Time", "Event", "Caller", "Client", "More"}, rows));
}

}  // namespace assertion::cli
