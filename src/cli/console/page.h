#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/loopback_listener.h"

namespace assertion::cli {

// What every page of the console has. Arguments called `html` are HTML; all other text is escaped here.

// The page that takes the person from the one-time address to the first page.
std::string EntrancePage(const std::string& place);

// A whole page. Links in it are relative to /PLACE/.
LoopbackAnswer ConsolePage(const std::string& place, const std::string& title, const std::string& html);

// A section with its heading.
std::string Section(std::string_view heading, const std::string& html);

// A paragraph.
std::string Paragraph(std::string_view text, const char* style = "");

// A link to a page of the console with one or two parameters; an empty name: none.
struct Parameter {
  std::string_view name;
  std::string value;
};
std::string Link(std::string_view path, const std::vector<Parameter>& parameters, std::string_view text);

// A table that scrolls by itself on a narrow screen. Cells are HTML.
std::string Table(std::string_view caption, const std::vector<std::string>& headings,
                  const std::vector<std::vector<std::string>>& html_rows);

}  // namespace assertion::cli
