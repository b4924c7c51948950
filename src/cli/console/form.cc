#include "cli/console/form.h"

#include "cli/html.h"

namespace assertion::cli {

ConsoleForm::ConsoleForm(std::string_view path, const ConsoleSession& session)
    : html_("<form method=\"post\" action=\"" + Escaped(path) + "\" autocomplete=\"off\">\n") {
  Hidden("form", session.form());
}

ConsoleForm& ConsoleForm::Hidden(std::string_view name, std::string_view value) {
  html_ += "<input type=\"hidden\" name=\"" + Escaped(name) + "\" value=\"" + Escaped(value) + "\">\n";
  return *this;
}

ConsoleForm& ConsoleForm::Field(std::string_view name, std::string_view label, std::string_view hint, bool required,
                                std::string_view value) {
  html_ += "<label>" + Escaped(label) + " <span class=\"hint\">" + Escaped(hint) + "</span><input name=\"" +
           Escaped(name) + "\"" + (value.empty() ? "" : " value=\"" + Escaped(value) + "\"") +
           " spellcheck=\"false\" autocapitalize=\"off\"" + (required ? " required" : "") + "></label>\n";
  return *this;
}

ConsoleForm& ConsoleForm::Choice(std::string_view name, std::string_view label) {
  html_ += "<label class=\"choice\"><input type=\"checkbox\" name=\"" + Escaped(name) + "\" value=\"yes\"> <span>" +
           Escaped(label) + "</span></label>\n";
  return *this;
}

ConsoleForm& ConsoleForm::Button(std::string_view name, std::string_view value, std::string_view label) {
  html_ += "<button type=\"submit\" name=\"" + Escaped(name) + "\" value=\"" + Escaped(value) + "\">" + Escaped(label) +
           "</button>\n";
  return *this;
}

std::string ConsoleForm::Html(std::string_view button) const {
  return html_ + "<button type=\"submit\">" + Escaped(button) + "</button>\n</form>\n";
}

std::string ConsoleForm::Html() const { return html_ + "</form>\n"; }

}  // namespace assertion::cli
