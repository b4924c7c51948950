#include "cli/opened_hsm.h"

#include <utility>

#include "cli/text.h"
#include "p11/padded_text.h"

namespace assertion::cli {
namespace {

// A module pads its description with blanks.
std::string ModuleText(const p11::Module& module) {
  const auto info = module.Info();
  if (!info) {
    return module.path();
  }
  return module.path() + ": " + Printable(p11::Trimmed(info->libraryDescription)) + ", Cryptoki " +
         std::to_string(info->cryptokiVersion.major) + '.' + std::to_string(info->cryptokiVersion.minor);
}

std::string TokenText(const p11::TokenInfo& info) {
  return "'" + Printable(info.label) + "' of " + Printable(info.manufacturer) + ", model " + Printable(info.model) +
         ", serial " + Printable(info.serial) + ", firmware " + info.firmware;
}

// Tells `on_step` how the step ended, and passes its result on.
template <typename T, typename Text>
Result<T> Step(const OnStep& on_step, const char* name, Result<T> result, const Text& text) {
  if (result) {
    on_step(name, text(*result));
  } else {
    on_step(name, std::unexpected(result.error()));
  }
  return result;
}

}  // namespace

Result<OpenedHsm> OpenHsm(const Config& config, std::size_t rank, Modules& modules, const OnStep& on_step) {
  const auto& settings = config.hsms[rank];
  auto& module = modules[settings.module_path()];
  const bool is_first = module == nullptr;
  if (is_first) {
    p11::Module::SetEnvironment(settings.environment);
    ASSIGN_OR_RETURN(module, Step(on_step, "module", p11::Module::Load(settings.module_path(), settings.init_args),
                                  [](const auto& loaded) { return ModuleText(*loaded); }));
  }
  // A reload would end the sessions of another token of the module.
  ASSIGN_OR_RETURN(const auto info, Step(on_step, "token", module->FindToken(settings.uri, is_first), TokenText));
  ASSIGN_OR_RETURN(auto token, Step(on_step, "login",
                                    p11::HsmToken::LogIn(module, info, settings.pin_path(), config.state_directory,
                                                         config.lock_directory, settings.accept_unshown),
                                    [&](const auto& /*token*/) {
                                      return "the token took the PIN of " + settings.pin_path() +
                                             (module->refuses_read_only() ? "; it refuses read-only sessions" : "");
                                    }));
  ASSIGN_OR_RETURN(auto certifier,
                   Step(on_step, "provider", x509::Certifier::New(settings.module_path(), settings.init_args),
                        [](const auto& /*certifier*/) { return "OpenSSL loads pkcs11-provider"; }));
  return OpenedHsm{.token = std::move(token), .certifier = std::move(certifier)};
}

}  // namespace assertion::cli
