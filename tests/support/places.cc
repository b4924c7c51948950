#include "places.h"

namespace assertion {

const char* const kFaultyHsmModule = FAULTY_HSM;

std::string ProjectPath(const std::string& path) { return std::string(PROJECT_FOLDER "/") + path; }

std::ifstream ProjectFile(const std::string& path) { return std::ifstream(ProjectPath(path)); }

}  // namespace assertion
