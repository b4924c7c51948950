#include "p11/modules.h"

#include <utility>

namespace assertion::p11 {

Result<std::unique_ptr<HsmToken>> Modules::LogIn(const HsmSettings& settings, const std::string& state_directory,
                                                 const std::string& lock_directory, int reloads, const Steps& steps) {
  auto& module = modules_[settings.module_path()];
  if (!module) {
    ASSIGN_OR_RETURN(module, Module::Load(settings.module_path(), settings.init_args));
  }
  if (steps.loaded) {
    steps.loaded(*module);
  }
  ASSIGN_OR_RETURN(auto info, module->FindToken(settings.uri, reloads));
  if (steps.found) {
    steps.found(info);
  }
  return HsmToken::LogIn(module, std::move(info), settings.pin_path(), state_directory, lock_directory,
                         settings.accept_unshown);
}

}  // namespace assertion::p11
