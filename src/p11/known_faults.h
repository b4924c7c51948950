#pragma once

#include <chrono>
#include <string>

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

}  // namespace assertion::p11
