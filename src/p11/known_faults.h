#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "p11/object_gate.h"

namespace assertion::p11 {

// Faults of PKCS#11 modules that no call shows beforehand, so that the module is known by its file's name. What a
// module answers (a refused attribute, mechanism or kind of session) is found out by asking instead: see key_pair,
// signing_mechanism and session.
struct KnownFaults {
  bool one_call_at_a_time = false;    // calls of two threads at once hang or crash
  bool one_search_at_a_time = false;  // searches of two threads at once show an object twice
  bool spoils_handles = false;        // a destruction makes handles show other objects, until C_Finalize
  std::chrono::milliseconds patience = ObjectGate::kPatience;  // see ObjectGate
};

// `path` of the module's file. A module that is not known has no faults.
KnownFaults KnownFaultsOf(const std::string& path);

// True for a SoftHSM2 token behind another module, such as p11-kit's. A process that stores objects there loses sight
// of what others stored since its last search, and servers on several machines have no lock in common. `manufacturer`:
// of CK_TOKEN_INFO.
bool IsSoftHsmBehind(const std::string& path, std::string_view manufacturer);

}  // namespace assertion::p11
