#pragma once

#include <p11-kit/pkcs11.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "p11/module.h"
#include "p11/pin.h"
#include "p11/signing_mechanism.h"

namespace assertion::p11 {

// A PKCS#11 session. Belongs to one thread at a time. Closing it does not log out: all sessions of the process share
// the login to the token.
class Session {
 public:
  static Result<Session> Open(std::shared_ptr<Module> module, CK_SLOT_ID slot, CK_FLAGS flags);

  Session(Session&& other) noexcept
      : module_(std::move(other.module_)),
        objects_(other.objects_),
        handle_(std::exchange(other.handle_, CK_INVALID_HANDLE)),
        generation_(other.generation_) {}
  Session& operator=(Session&&) = delete;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Calls C_Login once as CKU_USER. OK when already logged in. kPinRefused, kPinLocked.
  Status LogIn(const Pin& pin);

  Result<std::vector<CK_OBJECT_HANDLE>> Find(std::span<CK_ATTRIBUTE> pattern);

  // Empty optional: the token does not know the attribute for this object. kNotFound: the object does not exist any
  // more.
  Result<std::optional<Bytes>> Read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

  // Sets one attribute.
  Status Write(CK_OBJECT_HANDLE object, CK_ATTRIBUTE attribute);

  Result<CK_OBJECT_HANDLE> Create(std::span<CK_ATTRIBUTE> attributes);

  // OK when the object does not exist any more.
  Status Destroy(CK_OBJECT_HANDLE object);

  struct KeyPair {
    CK_OBJECT_HANDLE public_key;
    CK_OBJECT_HANDLE private_key;
  };
  Result<KeyPair> GenerateKeyPair(CK_MECHANISM mechanism, std::span<CK_ATTRIBUTE> public_template,
                                  std::span<CK_ATTRIBUTE> private_template);

  // UNAVAILABLE when the session is not logged in as CKU_USER.
  Status CheckLogin();

  // Of the module when the session was opened: see Module::generation.
  unsigned generation() const { return generation_; }

  // Makes one call that the token is expected to refuse, and returns its CK_RV. An error when the session, the login or
  // the token is gone. The call passes the gate as one that changes objects.
  using Call = std::function<CK_RV(CK_FUNCTION_LIST& functions, CK_SESSION_HANDLE session)>;
  Result<CK_RV> Ask(const char* function, const Call& call);

  // Makes one call that makes a key. kTemplateRefused: the token's answer may mean the template.
  Status Make(const char* function, const Call& call);

  // `data` is what the mechanism takes: the message, or SigningMechanism::octets() octets.
  Result<Bytes> Sign(const SigningMechanism& mechanism, CK_OBJECT_HANDLE key, BytesView data);

 private:
  Session(std::shared_ptr<Module> module, CK_SLOT_ID slot, CK_SESSION_HANDLE handle, unsigned generation)
      : module_(std::move(module)), objects_(module_->ObjectsOf(slot)), handle_(handle), generation_(generation) {}

  // Called before each use of the handle: after a reload the same value may mean another session.
  Result<Module::Use> Enter(const char* function) const;
  std::unexpected<Error> Failed(const char* function, CK_RV rv);

  std::shared_ptr<Module> module_;
  ObjectGate& objects_;       // of the module
  CK_SESSION_HANDLE handle_;  // CK_INVALID_HANDLE: moved from, or ended by the module
  unsigned generation_;
};

}  // namespace assertion::p11
