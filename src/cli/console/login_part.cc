#include "cli/console/login_part.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cli/command_line.h"
#include "cli/console/form.h"
#include "cli/console/page.h"
#include "cli/html.h"
#include "cli/oidc/redirect_query.h"
#include "cli/text.h"
#include "oauth/http.h"

namespace assertion::cli {
namespace {

struct LoginField {
  const char* name;
  const char* flag;
  const char* label;
  const char* hint;
  bool required;
};

constexpr std::array<LoginField, 5> kLoginFields = {
    {{.name = "client_id", .flag = "--client-id", .label = "Client id", .hint = "", .required = true},
     {.name = "issuer",
      .flag = "--issuer",
      .label = "Issuer",
      .hint = "of the provider, octet for octet",
      .required = true},
     {.name = "audience",
      .flag = "--audience",
      .label = "Audience",
      .hint = "empty: the client's first",
      .required = false},
     {.name = "scope", .flag = "--scope", .label = "Scope", .hint = "with openid; empty: openid", .required = false},
     {.name = "redirect_uri",
      .flag = "--redirect-uri",
      .label = "Redirect URI",
      .hint = "a loopback address that is registered; empty: http://127.0.0.1:0/callback",
      .required = false}}};

ConsoleForm LoginAction(const ConsoleSession& session) { return {"login", session}; }

// A link to another site, which learns nothing of this page. Only http and https: an address such as javascript:… would
// run here.
std::string LinkToProvider(const std::string& url) {
  return oauth::ParseUrl("", url)
             ? "<p><a class=\"provider\" href=\"" + Escaped(url) +
                   "\" target=\"_blank\" rel=\"noopener noreferrer\">Log in at the provider</a></p>\n"
             : Paragraph("The provider's address cannot be a link.", "bad");
}

bool HasControl(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; });
}

std::string EndedTrial(const TrialState& state) {
  const auto& record = state.record;
  const bool good = record.failure.empty();
  auto verdict = Paragraph(good ? "Logged in; all " + std::to_string(record.checks.size()) + " checks are good."
                                : "Not logged in: " + record.failure,
                           good ? "good" : "bad");
  if (!state.next.empty()) {
    verdict += Paragraph("Next: " + state.next, "quiet");
  }
  return Section("The last trial", verdict) + "<div class=\"exchange\">\n" + LoginSections(record) + "</div>\n";
}

}  // namespace

std::string ShellLine(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) {
    line += line.empty() ? "" : " ";
    line += QuotedForShell(word);
  }
  return line;
}

oauth::FormFields LoginFields(const oauth::FormFields& fields) {
  oauth::FormFields found;
  for (const auto& field : kLoginFields) {
    found.emplace_back(field.name, FieldOf(fields, field.name));
  }
  return found;
}

LoginRequest LoginRequestOf(const oauth::FormFields& fields) {
  LoginRequest request;
  request.client_id = FieldOf(fields, "client_id");
  request.issuer = FieldOf(fields, "issuer");
  request.audience = FieldOf(fields, "audience");
  if (const auto scope = FieldOf(fields, "scope"); !scope.empty()) {
    request.scope = scope;
  }
  if (const auto redirect_uri = FieldOf(fields, "redirect_uri"); !redirect_uri.empty()) {
    request.redirect_uri = redirect_uri;
  }
  return request;
}

std::string LoginForm(const oauth::FormFields& fields, const ConsoleSession& session) {
  auto form = LoginAction(session);
  for (const auto& field : kLoginFields) {
    form.Field(field.name, field.label, field.hint, field.required, FieldOf(fields, field.name));
  }
  form.Button("do", "log-in", "Begin the log-in").Button("do", "command", "Show the command");
  return Section("Parameters",
                 Paragraph("A trial goes through the authorization code flow once, and shows each request, "
                           "answer and check. It waits 5 minutes for you to log in at the provider.") +
                     form.Html());
}

std::string LoginCommand(const oauth::FormFields& fields, const std::string& server, const std::string& ca_file) {
  std::vector<std::string> words = {"assertionctl", "--server", server, "oidc", "login"};
  for (const auto& field : kLoginFields) {
    const auto value = FieldOf(fields, field.name);
    if ((field.required && value.empty()) || HasControl(value)) {
      return "";
    }
    if (!value.empty()) {
      words.push_back(std::string(field.flag) + "=" + value);  // one word: a value cannot become a flag
    }
  }
  if (!ca_file.empty()) {
    words.push_back("--ca-file=" + ca_file);
  }
  return Section("The same in a terminal", "<pre>" + Escaped(ShellLine(words)) + "</pre>\n");
}

std::string TrialPart(const TrialState& state, const ConsoleSession& session) {
  using Stage = TrialState::Stage;
  const auto give_up = LoginAction(session).Button("do", "give-up", "Give up").Html();
  switch (state.stage) {
    case Stage::kAsking:
      return Section("The trial", Paragraph("The provider is asked.") + give_up);
    case Stage::kWaiting:
      return Section("The trial", LinkToProvider(state.url) +
                                      Paragraph("It opens in a new tab, which shows the result, too. This page waits "
                                                "until " +
                                                    Rfc3339(state.until) + ".",
                                                "quiet") +
                                      give_up);
    case Stage::kExchanging:
      return Section("The trial", Paragraph("You came back from the provider. Code and tokens are checked.") + give_up);
    default:
      return EndedTrial(state);
  }
}

}  // namespace assertion::cli
