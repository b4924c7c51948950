#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// A change that waits for a second operator, for a program and for a person.
nlohmann::ordered_json PendingJson(const v1::PendingChange& change);
std::string PendingText(const v1::PendingChange& change);

// Answers a verb whose change waits; returns the exit status.
int WritePending(const v1::PendingChange& change, bool json);

}  // namespace assertion::cli
