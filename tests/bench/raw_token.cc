#include "bench/raw_token.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>

namespace assertion::bench {
namespace {

void Check(CK_RV rv, const char* function) {
  if (rv != CKR_OK) {
    throw std::runtime_error(std::string(function) + " returned " + std::to_string(rv));
  }
}

// What JWS hands to the HSM for a typical assertion: encoded header and claims. Where the token does not hash, their
// SHA-256; hashing them in software would take 1 us.
constexpr std::size_t kTextOctets = 400;
constexpr std::size_t kDigestOctets = 32;
constexpr std::size_t kDigestInfoOctets = 19 + kDigestOctets;  // RFC 8017 section 9.2, of SHA-256

}  // namespace

RawMechanism::RawMechanism(std::string_view algorithm, const std::vector<CK_MECHANISM_TYPE>& offered)
    : type(CKM_SHA256_RSA_PKCS), input(kTextOctets, 'e') {
  if (algorithm == "RS256" && std::ranges::find(offered, type) == offered.end()) {
    type = CKM_RSA_PKCS;
    input.resize(kDigestInfoOctets);
  } else if (algorithm == "PS256") {
    type = CKM_SHA256_RSA_PKCS_PSS;
    const CK_RSA_PKCS_PSS_PARAMS pss{.hashAlg = CKM_SHA256, .mgf = CKG_MGF1_SHA256, .sLen = kDigestOctets};
    parameter.resize(sizeof pss);
    std::memcpy(parameter.data(), &pss, sizeof pss);
  } else if (algorithm == "ES256") {
    type = CKM_ECDSA;
    input.resize(kDigestOctets);
  } else if (algorithm != "RS256") {
    throw std::runtime_error("no loop over the token for " + std::string(algorithm));
  }
}

RawToken::RawToken(const std::string& uri_text, std::string init_args) : init_args_(std::move(init_args)) {
  const std::unique_ptr<P11KitUri, void (*)(P11KitUri*)> uri(p11_kit_uri_new(), p11_kit_uri_free);
  if (p11_kit_uri_parse(uri_text.c_str(), P11_KIT_URI_FOR_ANY, uri.get()) != 0) {
    throw std::runtime_error("\"hsm\" is not a PKCS#11 URI");
  }
  const auto* module_path = p11_kit_uri_get_module_path(uri.get());
  const auto* pin_source = p11_kit_uri_get_pin_source(uri.get());
  if (module_path == nullptr || pin_source == nullptr) {
    throw std::runtime_error("\"hsm\" names no module-path or no pin-source");
  }
  LoadModule(module_path);
  FindSlot(uri.get());
  LogIn(pin_source);
}

RawToken::~RawToken() { functions_->C_Finalize(nullptr); }

CK_SESSION_HANDLE RawToken::OpenSession() const {
  CK_SESSION_HANDLE session{};
  Check(functions_->C_OpenSession(slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &session), "C_OpenSession");
  return session;
}

std::vector<CK_MECHANISM_TYPE> RawToken::Mechanisms() const {
  CK_ULONG count = 0;
  Check(functions_->C_GetMechanismList(slot_, nullptr, &count), "C_GetMechanismList");
  std::vector<CK_MECHANISM_TYPE> types(count);
  Check(functions_->C_GetMechanismList(slot_, types.data(), &count), "C_GetMechanismList");
  types.resize(count);
  return types;
}

CK_OBJECT_HANDLE RawToken::FindPrivateKey(CK_SESSION_HANDLE session, std::string label) const {
  CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  std::array<CK_ATTRIBUTE, 2> wanted{
      {{CKA_CLASS, &object_class, sizeof object_class}, {CKA_LABEL, label.data(), label.size()}}};
  std::array<CK_OBJECT_HANDLE, 2> found{};
  CK_ULONG count = 0;
  Check(functions_->C_FindObjectsInit(session, wanted.data(), wanted.size()), "C_FindObjectsInit");
  Check(functions_->C_FindObjects(session, found.data(), found.size(), &count), "C_FindObjects");
  Check(functions_->C_FindObjectsFinal(session), "C_FindObjectsFinal");
  if (count != 1) {
    throw std::runtime_error(std::to_string(count) + " private keys are labelled " + label + ", not one");
  }
  return found[0];
}

void RawToken::Sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const RawMechanism& mechanism) const {
  auto* parameter = const_cast<unsigned char*>(mechanism.parameter.data());
  CK_MECHANISM how{mechanism.type, mechanism.parameter.empty() ? nullptr : parameter, mechanism.parameter.size()};
  std::array<CK_BYTE, 512> signature{};
  CK_ULONG size = signature.size();
  Check(functions_->C_SignInit(session, &how, key), "C_SignInit");
  Check(functions_->C_Sign(session, const_cast<CK_BYTE*>(mechanism.input.data()), mechanism.input.size(),
                           signature.data(), &size),
        "C_Sign");
}

void RawToken::LoadModule(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error(dlerror());
  }
  const auto get_functions = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  if (get_functions == nullptr) {
    throw std::runtime_error(std::string(path) + " is no PKCS#11 module");
  }
  Check(get_functions(&functions_), "C_GetFunctionList");
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  arguments.pReserved = init_args_.empty() ? nullptr : init_args_.data();
  Check(functions_->C_Initialize(&arguments), "C_Initialize");
}

void RawToken::FindSlot(P11KitUri* uri) {
  std::array<CK_SLOT_ID, 64> slots{};
  CK_ULONG count = slots.size();
  Check(functions_->C_GetSlotList(CK_TRUE, slots.data(), &count), "C_GetSlotList");
  for (const auto slot : std::span(slots).first(count)) {
    CK_TOKEN_INFO info{};
    if (functions_->C_GetTokenInfo(slot, &info) == CKR_OK && (info.flags & CKF_TOKEN_INITIALIZED) != 0 &&
        p11_kit_uri_match_token_info(uri, &info) != 0) {
      slot_ = slot;
      return;
    }
  }
  throw std::runtime_error("no token matches \"hsm\"; is SOFTHSM2_CONF set?");
}

void RawToken::LogIn(std::string_view pin_source) {
  if (pin_source.starts_with("file:")) {
    pin_source.remove_prefix(5);
  }
  std::ifstream file{std::string(pin_source)};
  std::string pin;
  if (!std::getline(file, pin)) {
    throw std::runtime_error("cannot read the PIN file");
  }
  const auto session = OpenSession();  // stays open: the token logs out with the last session
  Check(functions_->C_Login(session, CKU_USER, reinterpret_cast<CK_BYTE*>(pin.data()), pin.size()), "C_Login");
}

}  // namespace assertion::bench
