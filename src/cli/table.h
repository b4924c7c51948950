#pragma once

#include <string>
#include <vector>

namespace assertion::cli {

// What a word says about a state, shown as a colour where standard output wants colours.
enum class Shade { kPlain, kGood, kWaiting, kBad, kPast };

struct Cell {
  Cell(const char* content) : text(content) {}  // NOLINT(google-explicit-constructor): rows are lists of texts
  Cell(std::string content) : text(std::move(content)) {}  // NOLINT(google-explicit-constructor)
  Cell(std::string content, Shade shade_of_text) : text(std::move(content)), shade(shade_of_text) {}

  std::string text;
  Shade shade = Shade::kPlain;
};

using Row = std::vector<Cell>;

// The text in the colour of its shade, without characters that steer a terminal; see Printable.
std::string ShadedText(const Cell& cell, bool coloured);

// Rows in columns as wide as their widest cells. Rows may differ in length; `indent` blanks begin each line.
std::string TableText(const std::vector<Row>& rows, bool coloured, std::size_t indent = 0);

}  // namespace assertion::cli
