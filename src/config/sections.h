#pragma once

#include <sys/types.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/preset.h"
#include "config/config.h"
#include "config/fields.h"
#include "config/identity.h"

namespace assertion {

// The sections of the configuration. Each reader takes its fields from the top of the file and writes what they say,
// and warnings, into `config`; it adds errors to those of `fields`. A reader may use what the readers before it in
// ParseConfig wrote.

// hsm_section.cc
void ReadHsms(Fields& fields, Config& config);
void ReadSessions(Fields& fields, Config& config);
// The field hsm of another section: the token label of one of config.hsms, as `key list` and the metrics call it; empty
// when absent. The URI has to state the label, because the HSM must be known before it is there.
std::string TakeHsmName(Fields& section, const Config& config);

// state_section.cc
void ReadDirectories(Fields& fields, Config& config);
void ReadLedger(Fields& fields, Config& config);
void ReadIntervals(Fields& fields, Config& config);

// listener_section.cc
// The path that the section's `field` names, and the group that `field` names. Empty when absent.
std::string TakeSocketPath(Fields& section, const char* field, bool required);
std::optional<gid_t> TakeGroup(Fields& section, const char* field);
void ReadSocket(Fields& fields, Config& config);
void ReadTls(Fields& fields, Config& config);
void ReadHttpListeners(Fields& fields, Config& config);
void ReadConnections(Fields& fields, Config& config);

// audit_section.cc
void ReadAudit(Fields& fields, Config& config);

// operator_section.cc
inline constexpr std::array<std::string_view, 3> kRoleNames = {"viewer", "operator", "approver"};  // by Role
void ReadOperators(Fields& fields, Identities& identities, Config& config);
void ReadTwoPersonRule(Fields& fields, Config& config);

// limit_section.cc
void ReadKeyLimits(Fields& fields, Config& config);
void ReadCallerRate(Fields& fields, Config& config);
void ReadRefusals(Fields& fields, Config& config);

// client_section.cc
std::vector<Client> ReadClients(Fields& fields, Identities& identities, Config& config);

// kubernetes_section.cc
// Adds the client whose keys sign service account tokens.
void ReadKubernetesSigner(Fields& fields, Identities& identities, Config& config, std::vector<Client>& clients);

// purpose_fields.cc
// Before ReadProfile: refuses the fields that have no effect with the client's purposes.
void ReadPurposes(Fields& entry, Client& client);
bool IsForDpopAlone(const Client& client);
// After ReadProfile and the lifetimes.
void ReadRequestObject(Fields& entry, Client& client);

// token_fields.cc
// After ReadProfile, the audiences and the callers.
void ReadTokens(Fields& entry, Identities& identities, Client& client, std::vector<std::string>& warnings);
// Once all clients are read, from these entries.
void CheckDpopClients(const Node::Array& entries, std::span<const Client> clients, Errors& errors);

// profile_fields.cc
// Reads a client's field profile and the fields that may differ from it, and sets what the preset decides besides:
// algorithm, lifetimes and the form of aud. Returns the default preset when the name is wrong.
const Preset& ReadProfile(Fields& entry, Client& client);
// The field backdate.
void ReadBackdate(Fields& entry, Profile& profile);
// Warns of what the other party refuses, as far as the preset knows.
void WarnOfRefusals(const Client& client, const Preset& preset, const std::string& path,
                    std::vector<std::string>& warnings);

}  // namespace assertion
