#include "p11/session.h"

#include <array>
#include <utility>

namespace assertion::p11 {

Result<Session> Session::Open(std::shared_ptr<Module> module, CK_SLOT_ID slot, CK_FLAGS flags) {
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  const auto rv = (*module)->C_OpenSession(slot, CKF_SERIAL_SESSION | flags, nullptr, nullptr, &handle);
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_OpenSession", rv));
  }
  return Session(std::move(module), handle);
}

Session::~Session() {
  if (handle_ != CK_INVALID_HANDLE) {
    (*module_)->C_CloseSession(handle_);
  }
}

Status Session::LogIn(const Pin& pin) {
  const auto rv = (*module_)->C_Login(handle_, CKU_USER, pin.buffer_->octets.data(), pin.buffer_->size);
  switch (rv) {
    case CKR_OK:
    case CKR_USER_ALREADY_LOGGED_IN:
      return {};
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_EXPIRED:
    case CKR_USER_PIN_NOT_INITIALIZED:
      return Fail(Code::kPinRefused, "the token refused the PIN", CryptokiError("C_Login", rv).detail);
    case CKR_PIN_LOCKED:
      return Fail(Code::kPinLocked, "the token has locked its user PIN: the security officer must unlock it",
                  CryptokiError("C_Login", rv).detail);
    default:
      return std::unexpected(CryptokiError("C_Login", rv));
  }
}

Result<std::vector<CK_OBJECT_HANDLE>> Session::Find(std::span<CK_ATTRIBUTE> pattern) {
  auto rv = (*module_)->C_FindObjectsInit(handle_, pattern.data(), pattern.size());
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_FindObjectsInit", rv));
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
    return std::unexpected(rv != CKR_OK ? CryptokiError("C_FindObjects", rv)
                                        : CryptokiError("C_FindObjectsFinal", ended));
  }
  return found;
}

Result<std::optional<Bytes>> Session::Read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  CK_ATTRIBUTE attribute{.type = type, .pValue = nullptr, .ulValueLen = 0};
  auto rv = (*module_)->C_GetAttributeValue(handle_, object, &attribute, 1);
  if (rv == CKR_ATTRIBUTE_TYPE_INVALID || attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) {
    return std::nullopt;
  }
  Bytes value(rv == CKR_OK ? attribute.ulValueLen : 0);
  if (rv == CKR_OK) {
    attribute.pValue = value.data();
    rv = (*module_)->C_GetAttributeValue(handle_, object, &attribute, 1);
  }
  if (rv == CKR_OBJECT_HANDLE_INVALID) {
    return Fail(Code::kNotFound, "an object on the token is gone", CryptokiError("C_GetAttributeValue", rv).detail);
  }
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_GetAttributeValue", rv));
  }
  value.resize(attribute.ulValueLen);
  return value;
}

Result<CK_OBJECT_HANDLE> Session::Create(std::span<CK_ATTRIBUTE> attributes) {
  CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
  const auto rv = (*module_)->C_CreateObject(handle_, attributes.data(), attributes.size(), &object);
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_CreateObject", rv));
  }
  return object;
}

Status Session::Destroy(CK_OBJECT_HANDLE object) {
  if (const auto rv = (*module_)->C_DestroyObject(handle_, object); rv != CKR_OK && rv != CKR_OBJECT_HANDLE_INVALID) {
    return std::unexpected(CryptokiError("C_DestroyObject", rv));
  }
  return {};
}

Result<Session::KeyPair> Session::GenerateKeyPair(CK_MECHANISM mechanism, std::span<CK_ATTRIBUTE> public_template,
                                                  std::span<CK_ATTRIBUTE> private_template) {
  KeyPair pair{};
  const auto rv = (*module_)->C_GenerateKeyPair(handle_, &mechanism, public_template.data(), public_template.size(),
                                                private_template.data(), private_template.size(), &pair.public_key,
                                                &pair.private_key);
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_GenerateKeyPair", rv));
  }
  return pair;
}

Result<Bytes> Session::Sign(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key, BytesView data) {
  auto rv = (*module_)->C_SignInit(handle_, &mechanism, key);
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_SignInit", rv));
  }
  constexpr std::size_t kLargest = 1024;  // RSA-8192
  Bytes signature(kLargest);
  CK_ULONG size = signature.size();
  rv = (*module_)->C_Sign(handle_, const_cast<CK_BYTE*>(data.data()), data.size(), signature.data(), &size);
  if (rv != CKR_OK) {
    return std::unexpected(CryptokiError("C_Sign", rv));
  }
  signature.resize(size);
  return signature;
}

}  // namespace assertion::p11
