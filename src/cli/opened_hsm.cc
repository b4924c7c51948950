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

}  // namespace

Result<OpenedHsm> OpenHsm(const Config& config, std::size_t rank, p11::Modules& modules, const OnStep& on_step) {
  const auto& settings = config.hsms[rank];
  const bool is_first = !modules.IsLoaded(settings);  // a reload would end the sessions of another token of the module
  for (const auto& hsm : config.hsms) {  // those of all of them, as the server does: a module may be another's, too
    p11::Module::SetEnvironment(hsm.environment);
  }
  const char* step = "module";
  const p11::Module* module = nullptr;
  const auto loaded = [&](const p11::Module& one) {
    module = &one;
    if (is_first) {
      on_step(step, ModuleText(one));
    }
    step = "token";
  };
  const auto found = [&](const p11::TokenInfo& info) {
    on_step(step, TokenText(info));
    step = "login";
  };
  auto token = modules.LogIn(settings, config.state_directory, config.lock_directory,
                             is_first ? p11::Module::kMostReloads : 0, {.loaded = loaded, .found = found});
  if (!token) {
    on_step(step, std::unexpected(token.error()));
    return std::unexpected(std::move(token).error());
  }
  on_step(step, "the token took the PIN of " + settings.pin_path() +
                    (module->refuses_read_only() ? "; it refuses read-only sessions" : ""));
  auto certifier = x509::Certifier::New(settings.module_path(), settings.init_args);
  if (!certifier) {
    on_step("provider", std::unexpected(certifier.error()));
    return std::unexpected(std::move(certifier).error());
  }
  on_step("provider", "OpenSSL loads pkcs11-provider");
  return OpenedHsm{.token = std::move(*token), .certifier = std::move(*certifier)};
}

}  // namespace assertion::cli
