#pragma once

#include <fstream>
#include <string>

// Where this clone has its files. places.cc alone is compiled with that: a path in every test would have each clone
// compile all of them anew.
namespace assertion {

extern const char* const kFaultyHsmModule;

// A file of this repository, by its path from the top.
std::string ProjectPath(const std::string& path);
std::ifstream ProjectFile(const std::string& path);

}  // namespace assertion
