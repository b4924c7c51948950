#include "cli/oidc/login_record.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <utility>

#include "cli/html.h"
#include "jws/foreign_json.h"
#include "jws/object_text.h"

namespace assertion::cli {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kShownOfSecret = 6;
constexpr std::array<std::string_view, 10> kSecretNames = {
    "code",         "client_assertion", "code_verifier", "state",       "nonce",
    "access_token", "refresh_token",    "id_token",      "request_uri", "device_secret"};

constexpr const char* kStyle =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2330}"
    "h1.good{color:#14692e}h1.bad{color:#a11d1d}section{border:1px solid #ccd3dd;border-radius:6px;margin:1rem 0;"
    "padding:.2rem 1rem 1rem}pre,code{font:13px/1.5 ui-monospace,monospace}pre{background:#f4f6f9;padding:.6rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere}table{border-collapse:collapse}td,th{text-align:left;"
    "vertical-align:top;padding:.15rem 1rem .15rem 0;overflow-wrap:anywhere}.good{color:#14692e}.bad{color:#a11d1d}";

struct Mistake {
  const char* mistake;
  const char* answer;
};

// From WSO2's sources and its validator.
constexpr std::array<Mistake, 7> kWso2Answers = {{
    {"the certificate of the application is another, or its first octet is not that of the PEM",
     "401 invalid_client: Client credentials are invalid."},
    {"aud is neither the token endpoint nor the issuer that WSO2 is configured with",
     "400 (7.3 and before) or 401 (7.4): Failed to match audience values."},
    {"the assertion expired, or WSO2's clock is ahead", "400 invalid_request: JWT Token is expired…"},
    {"the assertion has no jti", "400 invalid_request: Mandatory field :jti is missing…"},
    {"the assertion is sent again, after an error, too",
     "400 invalid_request: JWT Token with JTI: … has been replayed."},
    {"iat is more than 300 minutes ago", "400 invalid_request: The jwt is too old to use."},
    {"the redirect URI is not among the application's callback URLs", "an error page in the browser, and no redirect"},
}};

std::string TableRow(std::string_view name, std::string_view value, const char* style = "") {
  return "<tr><th>" + Escaped(name) + "</th><td class=\"" + style + "\">" + Escaped(value) + "</td></tr>\n";
}

std::string Dumped(const ordered_json& value) { return value.dump(2, ' ', false, json::error_handler_t::replace); }

bool IsSecretName(std::string_view name) { return std::ranges::find(kSecretNames, name) != kSecretNames.end(); }

std::string Replaced(const std::string& text, std::string_view what, std::string_view by) {
  std::string replaced;
  std::size_t from = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, from)) {
    replaced.append(text, from, at - from).append(by);
    from = at + what.size();
  }
  return replaced.append(text, from);
}

// The value as it is, in JSON, and in a URL, whose escapes have digits of either case.
std::array<std::string, 4> FormsOf(const std::string& value) {
  const auto quoted = Dumped(value);
  const auto lower = oauth::EncodeForm({{"", value}}).substr(1);
  auto upper = lower;
  for (auto at = upper.find('%'); at != std::string::npos; at = upper.find('%', at + 1)) {
    for (auto digit = at + 1; digit <= at + 2; ++digit) {
      upper[digit] = static_cast<char>(std::toupper(static_cast<unsigned char>(upper[digit])));
    }
  }
  return {value, quoted.substr(1, quoted.size() - 2), lower, upper};
}

}  // namespace

std::string Cut(std::string_view secret) {
  auto shown = std::min(kShownOfSecret, secret.size() / 4);
  while (shown > 0 && (static_cast<unsigned char>(secret[shown]) & 0xC0U) == 0x80U) {
    --shown;  // the rest of a character
  }
  return std::string(secret.substr(0, shown)) + "… (" + std::to_string(secret.size()) + " characters)";
}

void LoginSecrets::Add(const std::string& value) {
  constexpr std::size_t kShortest = 8;
  const auto is_same = [&](const Secret& secret) { return secret.front() == value; };
  if (value.size() >= kShortest && std::ranges::none_of(secrets_, is_same)) {
    secrets_.push_back(FormsOf(value));
    std::ranges::stable_sort(secrets_, std::ranges::greater(),
                             [](const Secret& secret) { return secret.front().size(); });
  }
}

std::string LoginSecrets::CutFrom(std::string text) const {
  for (const auto& secret : secrets_) {
    for (const auto& form : secret) {
      if (text.contains(form)) {
        text = Replaced(text, form, Cut(secret.front()));
      }
    }
  }
  return text;
}

oauth::FormFields LoginSecrets::CutFrom(oauth::FormFields fields) const {
  for (auto& [name, value] : fields) {
    value = IsSecretName(name) ? Cut(value) : CutFrom(std::move(value));
  }
  return fields;
}

// Recurses: only for what ParseForeign returned.
void LoginSecrets::CutMembers(ordered_json& value) const {
  if (value.is_string()) {
    value = CutFrom(value.get<std::string>());
  } else if (value.is_array()) {
    for (auto& element : value) {
      CutMembers(element);
    }
  } else if (value.is_object()) {
    for (auto& [name, member] : value.items()) {
      if (!IsSecretName(name)) {
        CutMembers(member);
      } else {
        member = member.is_string() ? Cut(member.get_ref<const std::string&>()) : "…";
      }
    }
  }
}

// Each is looked for in each text, so there is an end to them. No answer has as many; others are still cut by their
// names.
void LoginSecrets::AddMembers(const ordered_json& value) {
  constexpr std::size_t kMost = 64;
  if (value.is_structured()) {
    for (const auto& [name, member] : value.items()) {
      if (member.is_string() && IsSecretName(name) && secrets_.size() < kMost) {
        Add(member.get<std::string>());
      }
      AddMembers(member);
    }
  }
}

oauth::HttpAnswer LoginSecrets::CutFrom(oauth::HttpAnswer answer) {
  constexpr int kFirstRedirect = 300;
  auto body = jws::ParseForeign<ordered_json>(answer.body);
  if (body.is_object()) {
    if (answer.status < kFirstRedirect) {
      AddMembers(body);
    }
    CutMembers(body);
    answer.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  return answer;
}

LoginRecord LoginSecrets::CutFrom(LoginRecord record) const {
  for (auto& step : record.steps) {
    step.request = CutFrom(std::move(step.request));
    for (auto& [name, value] : step.sent) {
      value = CutFrom(std::move(value));  // it was cut by its name already: its size is that of the whole
    }
    step.received = CutFrom(std::move(step.received));
  }
  for (auto& [name, wrong, mistake] : record.checks) {
    wrong = CutFrom(std::move(wrong));
  }
  for (auto& token : record.decoded) {
    CutMembers(token.header);
    CutMembers(token.claims);
  }
  CutMembers(record.claims);
  record.failure = CutFrom(std::move(record.failure));
  return record;
}

std::string AnswerText(const oauth::HttpAnswer& answer) {
  const auto body = jws::ParseForeign<ordered_json>(answer.body);
  auto text = "HTTP " + std::to_string(answer.status);
  if (!body.is_object()) {
    return text + ", " + std::to_string(answer.body.size()) +
           " octets that are no JSON object or are nested more than " + std::to_string(jws::ObjectText::kMaxDepth) +
           " deep";
  }
  return text + "\n" + Dumped(body);
}

std::string LoginSections(const LoginRecord& record) {
  std::string page =
      "<table>" + TableRow("client", record.client_id) + TableRow("provider", record.issuer) + "</table>\n";
  for (std::size_t i = 0; i < record.steps.size(); ++i) {
    const auto& step = record.steps[i];
    page += "<section><h2>" + std::to_string(i + 1) + ". " + Escaped(step.title) + "</h2><p><code>" +
            Escaped(step.request) + "</code></p>\n";
    if (!step.sent.empty()) {
      page += "<table>";
      for (const auto& [name, value] : step.sent) {
        page += TableRow(name, value);
      }
      page += "</table>\n";
    }
    if (!step.received.empty()) {
      page += "<pre>" + Escaped(step.received) + "</pre>\n";
    }
    page += "</section>\n";
  }
  for (const auto& token : record.decoded) {
    page += "<section><h2>" + Escaped(token.name) + ", decoded</h2><pre>" + Escaped(Dumped(token.header)) +
            "</pre><pre>" + Escaped(Dumped(token.claims)) + "</pre></section>\n";
  }
  page += "<section><h2>Checks</h2><table>";
  for (const auto& [name, wrong, mistake] : record.checks) {
    page += TableRow(name, wrong.empty() ? "good" : wrong, wrong.empty() ? "good" : "bad");
  }
  page += "</table></section>\n<section><h2>What WSO2 Identity Server says of each mistake</h2><table>";
  for (const auto& [mistake, answer] : kWso2Answers) {
    page += TableRow(mistake, answer);
  }
  return page + "</table></section>\n";
}

std::string LoginPage(const LoginRecord& record) {
  const bool good = record.failure.empty();
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>assertionctl oidc login"
         "</title><style>" +
         std::string(kStyle) + "</style></head><body>\n<h1 class=\"" + (good ? "good" : "bad") + "\">" +
         (good ? "Logged in" : "Not logged in") + "</h1>\n<p>" +
         Escaped(good ? "All checks are good. You can close this window." : record.failure) + "</p>\n" +
         (record.steps.empty() ? "" : LoginSections(record)) + "</body></html>\n";
}

ordered_json LoginJson(const LoginRecord& record) {
  auto checks = ordered_json::array();
  for (const auto& [name, wrong, mistake] : record.checks) {
    checks.push_back({{"check", name}, {"good", wrong.empty()}, {"wrong", wrong}});
  }
  auto steps = ordered_json::array();
  for (const auto& step : record.steps) {
    auto sent = ordered_json::object();
    for (const auto& [name, value] : step.sent) {
      sent[name] = value;
    }
    steps.push_back({{"step", step.title}, {"request", step.request}, {"sent", sent}, {"received", step.received}});
  }
  auto decoded = ordered_json::array();
  for (const auto& token : record.decoded) {
    decoded.push_back({{"token", token.name}, {"header", token.header}, {"claims", token.claims}});
  }
  return {{"logged_in", record.failure.empty()},
          {"failure", record.failure},
          {"client_id", record.client_id},
          {"issuer", record.issuer},
          {"claims", record.claims},
          {"decoded", decoded},
          {"checks", checks},
          {"steps", steps}};
}

}  // namespace assertion::cli
