#include "p11/module.h"

#include <dlfcn.h>
#include <p11-kit/p11-kit.h>
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

#include "p11/padded_text.h"

namespace assertion::p11 {
namespace {

// PKCS#11 v2.40 section 3.2 requires blanks. tpm2-pkcs11 pads with zeros, which a PKCS#11 URI cannot express.
template <std::size_t N>
void PadWithBlanks(unsigned char (&padded)[N]) {  // NOLINT(modernize-avoid-c-arrays): Cryptoki's
  for (auto octet = std::rbegin(padded); octet != std::rend(padded) && *octet == 0; ++octet) {
    *octet = ' ';
  }
}

bool BlamesRequest(CK_RV rv) {
  switch (rv) {
    case CKR_ARGUMENTS_BAD:
    case CKR_ATTRIBUTE_READ_ONLY:
    case CKR_ATTRIBUTE_SENSITIVE:
    case CKR_ATTRIBUTE_TYPE_INVALID:
    case CKR_ATTRIBUTE_VALUE_INVALID:
    case CKR_DATA_INVALID:
    case CKR_DATA_LEN_RANGE:
    case CKR_FUNCTION_NOT_SUPPORTED:
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
    case CKR_KEY_SIZE_RANGE:
    case CKR_KEY_TYPE_INCONSISTENT:
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_TEMPLATE_INCOMPLETE:
    case CKR_TEMPLATE_INCONSISTENT:
    case CKR_TOKEN_WRITE_PROTECTED:
      return true;
    default:
      return false;
  }
}

// Advice to the operator of a module that does not start.
std::string_view StartHint(std::string_view path, CK_RV rv) {
  if (rv == CKR_ARGUMENTS_BAD) {
    return "; it may need parameters: set init_args, or the environment variable that names its configuration, in the "
           "field hsm";
  }
  if (path.contains("opencryptoki") && (rv == CKR_HOST_MEMORY || rv == CKR_FUNCTION_FAILED)) {
    return "; does pkcsslotd run, and is this user in the group pkcs11?";
  }
  return "";
}

// The usual reason for which SoftHSM2 shows other tokens than in the operator's shell.
std::string AbsenceHint(std::string_view path) {
  return path.contains("softhsm") && std::getenv("SOFTHSM2_CONF") == nullptr
             ? "; SOFTHSM2_CONF is not set here, so SoftHSM2 reads its default configuration: set it for this process, "
               "or "
               "in environment of the field hsm"
             : "";
}

bool HasAttributes(const TokenInfo& token, const TokenUri::Attributes& wanted) {
  return token.label == wanted.label.value_or(token.label) &&
         token.manufacturer == wanted.manufacturer.value_or(token.manufacturer) &&
         token.model == wanted.model.value_or(token.model) && token.serial == wanted.serial.value_or(token.serial) &&
         token.slot == wanted.slot.value_or(token.slot);
}

}  // namespace

std::string CryptokiText(CK_RV rv) {
  std::array<char, 2 * sizeof rv> digits{};
  char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), rv, 16).ptr;
  // p11-kit has no text for these.
  const std::string text = rv == CKR_OK                  ? "CKR_OK"
                           : rv == CKR_ACTION_PROHIBITED ? "CKR_ACTION_PROHIBITED"
                                                         : p11_kit_strerror(rv);
  return text + " (0x" + std::string(digits.data(), end) + ")";
}

Error CryptokiError(const char* function, CK_RV rv) {
  const auto detail = std::string(function) + ": " + CryptokiText(rv);
  if (rv == CKR_SESSION_COUNT) {
    return {Code::kUnavailable, "the HSM has no free session; try again", detail};
  }
  return BlamesRequest(rv) ? Error{Code::kInternal, "the HSM refused the operation", detail}
                           : Error{Code::kUnavailable, "the HSM is not available; try again", detail};
}

Result<std::shared_ptr<Module>> Module::Load(const std::string& path, std::string init_args) {
  const auto unusable = [&](const std::string& why) {
    return Fail(Code::kModuleUnusable, "the PKCS#11 module " + path + " cannot be used: " + why);
  };
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return unusable(dlerror());
  }
  const auto get_functions = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  if (get_functions == nullptr || get_functions(&functions) != CKR_OK || functions == nullptr) {
    return unusable("it has no C_GetFunctionList: is it a PKCS#11 module?");
  }
  std::shared_ptr<Module> loaded(new Module(path, std::move(init_args), functions));
  if (const auto initialized = loaded->Initialize(); !initialized) {
    return unusable(initialized.error().detail);
  }
  return loaded;
}

Module::Module(std::string path, std::string init_args, CK_FUNCTION_LIST* functions)
    : path_(std::move(path)), init_args_(std::move(init_args)), functions_(functions), faults_(KnownFaultsOf(path_)) {}

ObjectGate& Module::ObjectsOf(CK_SLOT_ID slot) const {
  const MutexLock lock(gates_mutex_);
  return gates_.try_emplace(slot, faults_.patience).first->second;
}

void Module::SetEnvironment(const std::map<std::string, std::string>& variables) {
  for (const auto& [name, value] : variables) {
    setenv(name.c_str(), value.c_str(), 1);
  }
}

Module::Call Module::operator->() const {
  return {functions_, faults_.one_call_at_a_time ? std::unique_lock(turn_) : std::unique_lock<std::mutex>()};
}

std::unique_lock<std::mutex> Module::SearchTurn() const {
  return faults_.one_search_at_a_time ? std::unique_lock(search_turn_) : std::unique_lock<std::mutex>();
}

Module::~Module() {
  if (initialized_here_) {
    functions_->C_Finalize(nullptr);
  }
}

Status Module::Initialize() {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  arguments.pReserved = init_args_.empty() ? nullptr : init_args_.data();
  const auto rv = functions_->C_Initialize(&arguments);
  // CKR_CRYPTOKI_ALREADY_INITIALIZED: another user of the module in this process was first; both share it.
  if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
    auto error = CryptokiError("C_Initialize", rv);
    error.detail += StartHint(path_, rv);
    return std::unexpected(std::move(error));
  }
  initialized_here_ = rv == CKR_OK;
  return {};
}

std::shared_ptr<void> Module::Hold(std::shared_ptr<Module> module) {
  ++module->held_;
  auto* const held = module.get();
  return {held, [module = std::move(module)](void* /*held*/) { --module->held_; }};
}

Status Module::Reload(const std::function<void()>& alone_now) {
  constexpr std::chrono::seconds kDrainLimit{2};
  if (!initialized_here_) {
    return Fail(Code::kFailedPrecondition, "the PKCS#11 module is not this process's own to reload");
  }
  if (held_ > 0) {
    return Fail(Code::kUnavailable, "the HSM is not available; try again", "a change of keys is under way");
  }
  const HeldTime::Span reloading(reloading_);
  const std::unique_lock alone(lifetime_, kDrainLimit);
  if (!alone) {
    return Fail(Code::kUnavailable, "the HSM is not available; try again", "a call into the module does not return");
  }
#ifdef __SANITIZE_THREAD__  // libtsan of GCC 12 does not see pthread_rwlock_clockwrlock, which unique_lock has called
  __tsan_mutex_pre_lock(&lifetime_, __tsan_mutex_try_lock);
  __tsan_mutex_post_lock(&lifetime_, __tsan_mutex_try_lock, 0);
#endif
  if (alone_now) {
    alone_now();
  }
  ++generation_;
  const auto finalized = functions_->C_Finalize(nullptr);
  auto initialized = Initialize();
  if (initialized &&
      !std::exchange(initialized_here_, true)) {  // C_Finalize or C_Initialize had no effect; it is still ours to end
    return std::unexpected(finalized == CKR_OK ? CryptokiError("C_Initialize", CKR_CRYPTOKI_ALREADY_INITIALIZED)
                                               : CryptokiError("C_Finalize", finalized));
  }
  return initialized;
}

std::string Module::Name() const {
  const auto info = Info();
  if (!info) {
    return "";
  }
  return Trimmed(info->manufacturerID) + ", " + Trimmed(info->libraryDescription) + ' ' +
         std::to_string(info->libraryVersion.major) + '.' + std::to_string(info->libraryVersion.minor);
}

Result<CK_INFO> Module::Info() const {
  const auto use = Enter();
  CK_INFO info{};
  if (const auto rv = (*this)->C_GetInfo(&info); rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_GetInfo", rv));
  }
  PadWithBlanks(info.manufacturerID);
  PadWithBlanks(info.libraryDescription);
  return info;
}

Result<std::vector<TokenInfo>> Module::ListTokens() const {
  const auto use = Enter();
  CK_ULONG count = 0;
  auto rv = (*this)->C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> slots(count);
  if (rv == CKR_OK && count > 0) {
    rv = (*this)->C_GetSlotList(CK_TRUE, slots.data(), &count);
  }
  if (rv == CKR_DEVICE_ERROR) {  // ykcs11 without a reader
    return Fail(Code::kTokenAbsent, "no token: the module cannot list its slots; is the HSM connected?",
                CryptokiError("C_GetSlotList", rv).detail);
  }
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_GetSlotList", rv));
  }
  slots.resize(count);
  std::vector<TokenInfo> tokens;
  for (const auto slot : slots) {
    CK_TOKEN_INFO info{};
    rv = (*this)->C_GetTokenInfo(slot, &info);
    if (rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_TOKEN_NOT_RECOGNIZED || rv == CKR_SLOT_ID_INVALID) {
      continue;  // removed since C_GetSlotList
    }
    if (rv != CKR_OK) {
      return std::unexpected(CryptokiError("C_GetTokenInfo", rv));
    }
    PadWithBlanks(info.label);
    PadWithBlanks(info.manufacturerID);
    PadWithBlanks(info.model);
    PadWithBlanks(info.serialNumber);
    if ((info.flags & CKF_TOKEN_INITIALIZED) != 0) {
      tokens.push_back(
          {.slot = slot,
           .label = Trimmed(info.label),
           .manufacturer = Trimmed(info.manufacturerID),
           .model = Trimmed(info.model),
           .serial = Trimmed(info.serialNumber),
           .firmware = std::to_string(info.firmwareVersion.major) + '.' + std::to_string(info.firmwareVersion.minor),
           .flags = info.flags,
           .raw = info});
    }
  }
  return tokens;
}

Result<TokenInfo> Module::FindToken(const TokenUri& uri, int reloads) {
  // SoftHSM can miss a token at C_Initialize while another process logs in to it, and does not search again.
  constexpr std::chrono::milliseconds kPause{50};
  std::string seen;
  for (int attempt = 0; attempt <= reloads; ++attempt) {
    if (attempt > 0) {
      if (!initialized_here_ || held_ > 0) {
        break;  // C_Finalize would end it for other users, or in the middle of a change
      }
      std::this_thread::sleep_for(kPause);
      RETURN_IF_ERROR(Reload());
    }
    ASSIGN_OR_RETURN(const auto tokens, ListTokens());
    const TokenInfo* match = nullptr;
    seen.clear();
    for (const auto& token : tokens) {
      seen += (seen.empty() ? "" : ", ") + token.label + " (serial " + token.serial + ")";
      if (!HasAttributes(token, uri.attributes())) {
        continue;
      }
      if (match != nullptr) {
        return Fail(Code::kTokenAmbiguous, "two tokens match the PKCS#11 URI: serial numbers " + match->serial +
                                               " and " + token.serial + "; add serial= to the URI");
      }
      match = &token;
    }
    if (match != nullptr) {
      return *match;
    }
  }
  return Fail(Code::kTokenAbsent, "no token matches the PKCS#11 URI; the module shows " +
                                      (seen.empty() ? "no token" : seen) + AbsenceHint(path_));
}

Result<TokenInfo> Module::FindAgain(const TokenInfo& token) const {
  ASSIGN_OR_RETURN(const auto tokens, ListTokens());
  const auto names = [](const TokenInfo& info) {
    return std::tie(info.label, info.manufacturer, info.model, info.serial);
  };
  const auto found = std::ranges::find_if(tokens, [&](const TokenInfo& other) { return names(other) == names(token); });
  if (found == tokens.end()) {
    return Fail(Code::kTokenAbsent, "token '" + token.label + "' (serial " + token.serial + ") is not there");
  }
  return *found;
}

}  // namespace assertion::p11
