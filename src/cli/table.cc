#include "cli/table.h"

#include <algorithm>

#include "cli/text.h"

namespace assertion::cli {
namespace {

constexpr std::size_t kGap = 2;

// SGR parameters of ECMA-48 section 8.3.117.
const char* SgrOf(Shade shade) {
  switch (shade) {
    case Shade::kGood:
      return "32";
    case Shade::kWaiting:
      return "33";
    case Shade::kBad:
      return "31";
    case Shade::kPast:
      return "2";
    default:
      return "";
  }
}

// Characters of UTF-8: its continuation octets take no place.
std::size_t WidthOf(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char octet) { return (static_cast<unsigned char>(octet) & 0xC0U) != 0x80; }));
}

}  // namespace

std::string ShadedText(const Cell& cell, bool coloured) {
  auto text = Printable(cell.text);
  return coloured && cell.shade != Shade::kPlain ? std::string("\033[") + SgrOf(cell.shade) + "m" + text + "\033[0m"
                                                 : text;
}

std::string TableText(const std::vector<Row>& rows, bool coloured, std::size_t indent) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths.at(i) = std::max(widths.at(i), WidthOf(Printable(row.at(i).text)));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    text.append(indent, ' ');
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += ShadedText(row.at(i), coloured);
      if (i + 1 < row.size()) {
        text.append(widths.at(i) - WidthOf(Printable(row.at(i).text)) + kGap, ' ');
      }
    }
    text += '\n';
  }
  return text;
}

}  // namespace assertion::cli
