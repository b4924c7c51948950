#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/v1/key_admin.pb.h"
#include "cli/table.h"

namespace assertion::cli {

// A key's state in one word, for example "signing".
const char* StateName(v1::KeyState state);

// The state and what the key waits for, in the state's shade.
Cell StateCell(const v1::Key& key);

// When the certificate ends, for example "2027-11-24 (364 days left)", in a shade if that is soon.
Cell ExpiryCell(const v1::Key& key, Time now);

// Certificates that end within this time are marked.
inline constexpr std::chrono::days kExpiryWarning{30};

// The flags that name a client's key in a command for pasting: "--client-id X --kid=Y", quoted for a shell. With '=',
// because a kid may begin with a hyphen.
std::string KeyFlags(const std::string& client_id, const std::string& kid);

// Whether a ledger of the client was rolled back or lost, so that its keys do not count: no new key is what it needs.
bool LacksItsLedger(const v1::ListKeysResponse& response, const std::string& client_id);

// False for a key that signs DPoP proofs alone: each proof carries it, and nobody reads its certificate or JWK Set.
bool HasReaders(const v1::Key& key);

// All fields of a key, for a program.
nlohmann::ordered_json KeyJson(const v1::Key& key);

// The same for a person, one field per line.
std::string KeyText(const v1::Key& key, Time now);

// What a revocation of the key did, and what it leaves to do: assertiond stops no one who has the key itself.
// `changed`: the key was not withdrawn before.
std::string TextOfRevocation(const v1::Key& key, bool changed = true);

// What the server knows of the custody of such keys, and how it is tried if it was not.
std::string CustodyLines(const std::string& custody);

// A key in one line: what it is, its state, its certificate.
std::string KeyLine(const v1::Key& key, Time now);

// The cells of a key's row in the table of all keys: client, kid, algorithm, state, since, until, certificate, HSM.
Row KeyRow(const v1::Key& key, Time now);

// How many characters tell the kids of all keys apart, at least 8.
std::size_t ShortKidLength(const v1::ListKeysResponse& response);

struct TableLook {
  bool short_kids = false;  // as many characters as tell them apart
  bool coloured = false;
};

// All keys as a table. A client without a key has a row, too. Certificates that expire within 30 days are marked.
std::string KeyTable(const v1::ListKeysResponse& response, Time now, const TableLook& look = {});

}  // namespace assertion::cli
