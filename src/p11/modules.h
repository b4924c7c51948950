#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "assertion/error.h"
#include "assertion/hsm_settings.h"
#include "p11/hsm_token.h"
#include "p11/module.h"

namespace assertion::p11 {

// The modules that this process has loaded. Destroy it after everything that uses a token of theirs: it calls
// C_Finalize. Belongs to one thread at a time.
class Modules {
 public:
  // Called once a step has succeeded; each may be empty.
  struct Steps {
    std::function<void(const Module&)> loaded;
    std::function<void(const TokenInfo&)> found;
  };

  bool IsLoaded(const HsmSettings& settings) const {
    const auto found = modules_.find(settings.module_path());
    return found != modules_.end() && found->second != nullptr;
  }

  // Loads the module unless it is loaded, finds the token and logs in, once. `reloads`: see Module::FindToken;
  // `state_directory` and `lock_directory`: see HsmToken::LogIn. Does not set the module's environment.
  Result<std::unique_ptr<HsmToken>> LogIn(const HsmSettings& settings, const std::string& state_directory,
                                          const std::string& lock_directory, int reloads, const Steps& steps);

 private:
  std::map<std::string, std::shared_ptr<Module>> modules_;  // by path
};

}  // namespace assertion::p11
