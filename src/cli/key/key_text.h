#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// A key's state in one word, for example "signing".
const char* StateName(v1::KeyState state);

// All fields of a key, for a program.
nlohmann::ordered_json KeyJson(const v1::Key& key);

// The same for a person, one field per line.
std::string KeyText(const v1::Key& key, Time now);

// A key in one line: what it is, its state, its certificate.
std::string KeyLine(const v1::Key& key, Time now);

// The cells of a key's row in the table of all keys: client, kid, algorithm, state, since, until, certificate, HSM.
std::vector<std::string> KeyRow(const v1::Key& key, Time now);

// All keys as a table. A client without a key has a row, too. Certificates that expire within 30 days are marked.
std::string KeyTable(const v1::ListKeysResponse& response, Time now);

}  // namespace assertion::cli
