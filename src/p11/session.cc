#include "p11/session.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace assertion::p11 {
namespace {

// The object does not exist any more. tpm2-pkcs11 returns CKR_KEY_HANDLE_INVALID for objects of every class.
bool IsGone(CK_RV rv) { return rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID; }

// Tokens answer C_GenerateKeyPair with these when they do not take an attribute of the template. NSS (3.87) answers
// CKR_GENERAL_ERROR.
bool MayMeanTemplate(CK_RV rv) {
  switch (rv) {
    case CKR_ARGUMENTS_BAD:
    case CKR_ATTRIBUTE_READ_ONLY:
    case CKR_ATTRIBUTE_TYPE_INVALID:
    case CKR_ATTRIBUTE_VALUE_INVALID:
    case CKR_FUNCTION_FAILED:
    case CKR_GENERAL_ERROR:
    case CKR_TEMPLATE_INCOMPLETE:
    case CKR_TEMPLATE_INCONSISTENT:
      return true;
    default:
      return false;
  }
}

// A token that claims more for one attribute talks nonsense. A ledger of all clients is far smaller.
constexpr CK_ULONG kLargestAttribute = CK_ULONG{64} * 1024 * 1024;

// A token that takes no read-only session may answer C_OpenSession with this.
bool MayMeanReadOnly(CK_RV rv) {
  switch (rv) {
    case CKR_ARGUMENTS_BAD:
    case CKR_FUNCTION_FAILED:
    case CKR_FUNCTION_NOT_SUPPORTED:
    case CKR_GENERAL_ERROR:
    case CKR_SESSION_READ_ONLY:
    case CKR_SESSION_READ_ONLY_EXISTS:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<Session> Session::Open(std::shared_ptr<Module> module, CK_SLOT_ID slot, CK_FLAGS flags) {
  const auto use = module->Enter();
  const auto generation = module->generation();
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  const auto open = [&](CK_FLAGS more) {
    return (*module)->C_OpenSession(slot, CKF_SERIAL_SESSION | flags | more, nullptr, nullptr, &handle);
  };
  const bool read_only = (flags & CKF_RW_SESSION) == 0 && !module->refuses_read_only();
  auto rv = open(read_only ? 0 : CKF_RW_SESSION);
  if (read_only && MayMeanReadOnly(rv) && open(CKF_RW_SESSION) == CKR_OK) {
    module->FoundToRefuseReadOnly();
    rv = CKR_OK;
  }
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_OpenSession", rv));
  }
  return Session(module, slot, handle, generation);
}

Session::~Session() {
  if (handle_ == CK_INVALID_HANDLE) {
    return;
  }
  const auto use = module_->Enter();
  if (generation_ == module_->generation()) {
    (*module_)->C_CloseSession(handle_);
  }
}

Result<Module::Use> Session::Enter(const char* function) const {
  auto use = module_->Enter();
  if (handle_ == CK_INVALID_HANDLE || generation_ != module_->generation()) {
    return std::unexpected(CryptokiError(function, CKR_SESSION_HANDLE_INVALID));
  }
  return use;
}

std::unexpected<Error> Session::Failed(const char* function, CK_RV rv) {
  switch (rv) {
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_DEVICE_REMOVED:
    case CKR_SESSION_CLOSED:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_TOKEN_NOT_PRESENT:
      handle_ = CK_INVALID_HANDLE;  // never closed: the value might mean another session by then
      break;
    default:
      break;
  }
  return std::unexpected(CryptokiError(function, rv));
}

Status Session::CheckLogin() {
  ASSIGN_OR_RETURN(const auto use, Enter("C_GetSessionInfo"));
  CK_SESSION_INFO info{};
  if (const auto rv = (*module_)->C_GetSessionInfo(handle_, &info); rv != CKR_OK) {
    return Failed("C_GetSessionInfo", rv);
  }
  if (info.state != CKS_RO_USER_FUNCTIONS && info.state != CKS_RW_USER_FUNCTIONS) {
    return std::unexpected(CryptokiError("C_GetSessionInfo", CKR_USER_NOT_LOGGED_IN));
  }
  return {};
}

Status Session::LogIn(const Pin& pin) {
  ASSIGN_OR_RETURN(const auto use, Enter("C_Login"));
  const auto rv = (*module_)->C_Login(handle_, CKU_USER, pin.buffer_->octets.data(), pin.buffer_->size);
  switch (rv) {
    case CKR_OK:
    case CKR_USER_ALREADY_LOGGED_IN:
      return {};
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_EXPIRED:
      return Fail(Code::kPinRefused, "the token refused the PIN", CryptokiError("C_Login", rv).detail);
    case CKR_USER_PIN_NOT_INITIALIZED:  // no PIN was judged: who initialises the token may be about to set it
      return Fail(Code::kTokenAbsent, "the token has no user PIN yet: set it with the token's own tool (C_InitPIN)",
                  CryptokiError("C_Login", rv).detail);
    case CKR_PIN_LOCKED:
      return Fail(Code::kPinLocked, "the token has locked its user PIN: the security officer must unlock it",
                  CryptokiError("C_Login", rv).detail);
    default:
      return Failed("C_Login", rv);
  }
}

Result<std::vector<CK_OBJECT_HANDLE>> Session::Find(std::span<CK_ATTRIBUTE> pattern) {
  ASSIGN_OR_RETURN(const auto use, Enter("C_FindObjectsInit"));
  const ObjectGate::Reader reading(objects_);
  const auto turn = module_->SearchTurn();
  auto rv = (*module_)->C_FindObjectsInit(handle_, pattern.data(), pattern.size());
  if (rv != CKR_OK) {
    return Failed("C_FindObjectsInit", rv);
  }
  std::vector<CK_OBJECT_HANDLE> found;
  std::array<CK_OBJECT_HANDLE, 64> batch{};
  CK_ULONG count = 0;
  do {
    rv = (*module_)->C_FindObjects(handle_, batch.data(), batch.size(), &count);
    if (rv != CKR_OK) {
      break;
    }
    found.insert(found.end(), batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count));
  } while (count > 0);
  const auto ended = (*module_)->C_FindObjectsFinal(handle_);
  if (rv != CKR_OK || ended != CKR_OK) {
    return rv != CKR_OK ? Failed("C_FindObjects", rv) : Failed("C_FindObjectsFinal", ended);
  }
  return found;
}

Result<std::optional<Bytes>> Session::Read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  ASSIGN_OR_RETURN(const auto use, Enter("C_GetAttributeValue"));
  const ObjectGate::Reader reading(objects_);
  CK_ATTRIBUTE attribute{.type = type, .pValue = nullptr, .ulValueLen = 0};
  auto rv = (*module_)->C_GetAttributeValue(handle_, object, &attribute, 1);
  if (rv == CKR_ATTRIBUTE_TYPE_INVALID || attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) {
    return std::nullopt;
  }
  if (rv == CKR_OK && attribute.ulValueLen > kLargestAttribute) {
    return std::nullopt;
  }
  Bytes value(rv == CKR_OK ? attribute.ulValueLen : 0);
  if (rv == CKR_OK) {
    attribute.pValue = value.data();
    rv = (*module_)->C_GetAttributeValue(handle_, object, &attribute, 1);
  }
  if (IsGone(rv)) {
    return Fail(Code::kNotFound, "an object on the token is gone", CryptokiError("C_GetAttributeValue", rv).detail);
  }
  if (rv != CKR_OK) {
    return Failed("C_GetAttributeValue", rv);
  }
  if (attribute.ulValueLen > value.size()) {  // it answered another length before
    return std::nullopt;
  }
  value.resize(attribute.ulValueLen);
  return value;
}

Status Session::Write(CK_OBJECT_HANDLE object, CK_ATTRIBUTE attribute) {
  ASSIGN_OR_RETURN(const auto use, Enter("C_SetAttributeValue"));
  const ObjectGate::Writer writing(objects_);
  if (const auto rv = (*module_)->C_SetAttributeValue(handle_, object, &attribute, 1); rv != CKR_OK) {
    return Failed("C_SetAttributeValue", rv);
  }
  return {};
}

Result<CK_OBJECT_HANDLE> Session::Create(std::span<CK_ATTRIBUTE> attributes) {
  ASSIGN_OR_RETURN(const auto use, Enter("C_CreateObject"));
  const ObjectGate::Writer writing(objects_);
  CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
  const auto rv = (*module_)->C_CreateObject(handle_, attributes.data(), attributes.size(), &object);
  if (rv != CKR_OK) {
    return Failed("C_CreateObject", rv);
  }
  return object;
}

Status Session::Destroy(CK_OBJECT_HANDLE object) {
  ASSIGN_OR_RETURN(const auto use, Enter("C_DestroyObject"));
  const ObjectGate::Writer writing(objects_);
  if (const auto rv = (*module_)->C_DestroyObject(handle_, object); rv != CKR_OK && !IsGone(rv)) {
    return Failed("C_DestroyObject", rv);
  }
  return {};
}

Result<Session::KeyPair> Session::GenerateKeyPair(CK_MECHANISM mechanism, std::span<CK_ATTRIBUTE> public_template,
                                                  std::span<CK_ATTRIBUTE> private_template) {
  KeyPair pair{};
  RETURN_IF_ERROR(Make("C_GenerateKeyPair", [&](auto& functions, CK_SESSION_HANDLE session) {
    return functions.C_GenerateKeyPair(session, &mechanism, public_template.data(), public_template.size(),
                                       private_template.data(), private_template.size(), &pair.public_key,
                                       &pair.private_key);
  }));
  return pair;
}

Status Session::Make(const char* function, const Call& call) {
  ASSIGN_OR_RETURN(const auto rv, Ask(function, call));
  if (MayMeanTemplate(rv)) {
    return Fail(Code::kTemplateRefused, "the HSM refused to make the key", CryptokiError(function, rv).detail);
  }
  return rv == CKR_OK ? Status() : Failed(function, rv);
}

Result<CK_RV> Session::Ask(const char* function, const Call& call) {
  ASSIGN_OR_RETURN(const auto use, Enter(function));
  const ObjectGate::Writer writing(objects_);
  const auto rv = call(*module_->operator->().operator->(), handle_);
  switch (rv) {
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_DEVICE_REMOVED:
    case CKR_SESSION_CLOSED:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_USER_NOT_LOGGED_IN:
      return Failed(function, rv);
    default:
      return rv;
  }
}

Result<Bytes> Session::Sign(const SigningMechanism& mechanism, CK_OBJECT_HANDLE key, BytesView data) {
  if (mechanism.octets() != 0 && data.size() != mechanism.octets()) {
    return Fail(Code::kInternal, "the HSM was not asked: the data to sign has a wrong length",
                std::string(mechanism.mechanism.name) + ": " + std::to_string(data.size()) + " octets instead of " +
                    std::to_string(mechanism.octets()));
  }
  ASSIGN_OR_RETURN(const auto use, Enter("C_SignInit"));
  auto parameters = mechanism.parameters;
  CK_MECHANISM asked{.mechanism = mechanism.mechanism.type,
                     .pParameter = parameters ? &*parameters : nullptr,
                     .ulParameterLen = parameters ? sizeof *parameters : 0};
  auto rv = (*module_)->C_SignInit(handle_, &asked, key);
  if (rv != CKR_OK) {
    return Failed("C_SignInit", rv);
  }
  constexpr std::size_t kLargest = 1024;  // RSA-8192
  std::array<CK_BYTE, kLargest> signature;
  CK_ULONG size = signature.size();
  rv = (*module_)->C_Sign(handle_, const_cast<CK_BYTE*>(data.data()), data.size(), signature.data(), &size);
  if (rv != CKR_OK) {
    return Failed("C_Sign", rv);
  }
  return Bytes(signature.begin(), signature.begin() + std::min(size, kLargest));
}

}  // namespace assertion::p11
