#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/v1/key_admin.pb.h"
#include "cli/status/monitored.h"

namespace assertion::cli {

// Something that an operator should know of, or do.
struct Attention {
  bool wrong;             // calls fail already; else they will unless somebody acts, or a change is under way
  std::string client_id;  // empty: the HSM, or the configuration
  std::string kid;        // empty: the client as a whole
  std::string text;
  std::string next;      // what to do; empty: nothing
  std::string hsm = {};  // NOLINT(readability-redundant-member-init): empty: all
};

// What needs attention in the configuration and among the clients and keys of `response`: what is wrong first, else in
// the answer's order.
std::vector<Attention> AttentionTo(const v1::ListKeysResponse& response, Time now);

// Keys of one HSM and one type, which share their custody: see TokenDescription.
struct KeysOfType {
  std::string hsm;
  std::string type;
  std::vector<const v1::Key*> keys;  // never empty
};

// All keys of `response` but those that are withdrawn.
std::vector<KeysOfType> ByType(const v1::ListKeysResponse& response);

// `custody`: unproven, as GetKey tells it of one of them.
Attention AttentionTo(const KeysOfType& keys, const std::string& custody);

// A file of TLS that has expired or will within 30 days; nothing: it is valid longer.
std::optional<Attention> AttentionTo(const TlsEnd& end, Time now);

// Where the key that the client lacks is requested already, the advice is to approve it, not to ask again.
void ApproveRather(const v1::ListPendingChangesResponse& pending, std::vector<Attention>& attention);

// The clients whose keys could sign now, all on HSMs of `lost`, which do not.
std::vector<Attention> AttentionToLost(const v1::ListKeysResponse& response, const std::set<std::string>& lost);

// How many of the clients have a key that signs now and waits for nothing, on an HSM that is not one of `lost`.
std::size_t SigningClients(const v1::ListKeysResponse& response, const std::set<std::string>& lost = {});

}  // namespace assertion::cli
