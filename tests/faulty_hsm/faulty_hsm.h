#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "places.h"
#include "softhsm.h"

namespace assertion {

// SoftHSM2 behind a module that fails as it is told; see faulty_hsm.cc.
class FaultyHsm : public LoggedInSoftHsm {
 public:
  FaultyHsm() : LoggedInSoftHsm(Module()) { setenv("FAULTY_HSM_CONTROL", (directory() / "faults").c_str(), 1); }
  ~FaultyHsm() { unsetenv("FAULTY_HSM_CONTROL"); }
  FaultyHsm(const FaultyHsm&) = delete;
  FaultyHsm& operator=(const FaultyHsm&) = delete;

  void Tell(const std::string& rules) const {
    const auto draft = Write("faults.new", rules + "\n");
    std::rename(draft.c_str(), (directory() / "faults").c_str());
  }

  // The module's path. It wraps SoftHSM2 from now on.
  static const char* Module() {
    setenv("FAULTY_HSM_MODULE", SOFTHSM2_MODULE, 1);
    return kFaultyHsmModule;
  }
};

}  // namespace assertion
