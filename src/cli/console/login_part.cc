#include "cli/console/login_part.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cli/command_line.h"
#include "cli/console/page.h"
#include "cli/html.h"
#include "cli/oidc/redirect_query.h"

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

std::string Form(const oauth::FormFields& fields) {
  std::string html = "<form method=\"get\" action=\"login\">\n";
  for (const auto& field : kLoginFields) {
    html += std::string("<label>") + field.label + " <span class=\"hint\">" + Escaped(field.hint) +
            "</span><input name=\"" + field.name + "\" value=\"" + Escaped(FieldOf(fields, field.name)) + "\"" +
            (field.required ? " required" : "") + "></label>\n";
  }
  return html + "<button type=\"submit\">Show the command</button>\n</form>\n";
}

bool HasControl(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; });
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

std::string LoginPart(const oauth::FormFields& fields, const std::string& server) {
  auto html =
      Section("Parameters", Paragraph("A trial goes through the authorization code flow once, and its last page "
                                      "shows each request, answer and check.") +
                                Form(fields));
  std::vector<std::string> words = {"assertionctl", "--server", server, "oidc", "login"};
  bool usable = true;
  for (const auto& field : kLoginFields) {
    const auto value = FieldOf(fields, field.name);
    usable = usable && !(field.required && value.empty()) && !HasControl(value);
    if (!value.empty()) {
      words.push_back(std::string(field.flag) + "=" + value);  // one word: a value cannot become a flag
    }
  }
  return usable ? html + Section("Run it in a terminal", "<pre>" + Escaped(ShellLine(words)) + "</pre>\n") : html;
}

}  // namespace assertion::cli
