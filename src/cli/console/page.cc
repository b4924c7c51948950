#include "cli/console/page.h"

#include "cli/console/style.h"
#include "cli/html.h"
#include "oauth/form.h"

namespace assertion::cli {
namespace {

constexpr const char* kConsolePolicy =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
constexpr const char* kHead =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    "<meta name=\"color-scheme\" content=\"light dark\">";

}  // namespace

std::string EntrancePage(const std::string& place) {
  const auto first = "/" + place + "/";
  return std::string(kHead) + "<title>assertiond</title><meta http-equiv=\"refresh\" content=\"0;url=" + first +
         "\"></head><body><p><a href=\"" + first + "\">Open the console</a></p></body></html>\n";
}

LoopbackAnswer ConsolePage(const std::string& place, const std::string& title, const std::string& html) {
  const auto link = [&](const char* path, const char* text) {
    return "<a href=\"/" + place + "/" + path + "\">" + text + "</a>";
  };
  LoopbackAnswer answer;
  answer.policy = kConsolePolicy;
  answer.body = std::string(kHead) + "<title>" + Escaped(title) +
                " - assertiond</title><link rel=\"stylesheet\" href=\"/" + place + "/" + kStylePath +
                "\"></head>\n<body>\n"
                "<header><p class=\"brand\">assertiond</p><nav aria-label=\"Pages\">" +
                link("", "Keys") + link("audit", "Audit log") + link("login", "Try a log-in") +
                "</nav></header>\n<main>\n<h1>" + Escaped(title) + "</h1>\n" + html + "</main>\n</body></html>\n";
  return answer;
}

std::string Section(std::string_view heading, const std::string& html) {
  return "<section>\n<h2>" + Escaped(heading) + "</h2>\n" + html + "</section>\n";
}

std::string Paragraph(std::string_view text, const char* style) {
  return "<p" + (*style == '\0' ? "" : " class=\"" + std::string(style) + "\"") + ">" + Escaped(text) + "</p>\n";
}

std::string Link(std::string_view path, const std::vector<Parameter>& parameters, std::string_view text) {
  oauth::FormFields fields;
  for (const auto& [name, value] : parameters) {
    fields.emplace_back(name, value);
  }
  const auto query = oauth::EncodeForm(fields);
  return "<a href=\"" + Escaped(std::string(path) + (query.empty() ? "" : "?" + query)) + "\">" + Escaped(text) +
         "</a>";
}

std::string Table(std::string_view caption, const std::vector<std::string>& headings,
                  const std::vector<std::vector<std::string>>& html_rows) {
  auto html = "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" + Escaped(caption) +
              "\"><table>\n<caption>" + Escaped(caption) + "</caption>\n<thead><tr>";
  for (const auto& heading : headings) {
    html += "<th scope=\"col\">" + Escaped(heading) + "</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : html_rows) {
    html += "<tr>";
    for (const auto& cell : row) {
      html += "<td>" + cell + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace assertion::cli
