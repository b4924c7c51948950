#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// A key on the token and whether the client can adopt it, for a program and for a person.
nlohmann::ordered_json ExaminedKeyJson(const v1::ExamineKeyResponse& key);
std::string ExaminedKeyText(const v1::ExamineKeyResponse& key, const std::string& client_id);

}  // namespace assertion::cli
