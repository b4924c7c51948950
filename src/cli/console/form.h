#pragma once

#include <string>
#include <string_view>

#include "cli/console/session.h"

namespace assertion::cli {

// An HTML form of the session, sent with POST to a page of the console. Text is escaped here.
class ConsoleForm {
 public:
  ConsoleForm(std::string_view path, const ConsoleSession& session);

  ConsoleForm& Hidden(std::string_view name, std::string_view value);
  ConsoleForm& Field(std::string_view name, std::string_view label, std::string_view hint, bool required = false,
                     std::string_view value = {});
  ConsoleForm& Choice(std::string_view name, std::string_view label);
  // A button whose name and value are sent with the form.
  ConsoleForm& Button(std::string_view name, std::string_view value, std::string_view label);
  std::string Html(std::string_view button) const;
  // With no other buttons than those above.
  std::string Html() const;

 private:
  std::string html_;
};

}  // namespace assertion::cli
