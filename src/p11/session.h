#pragma once

#include <p11-kit/pkcs11.h>

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

// A PKCS#11 session. Belongs to one thread at a time. Closing it does not log out: the login belongs to the token,
// and one session's logout would log out all.
class Session {
 public:
  static Result<Session> Open(std::shared_ptr<Module> module, CK_SLOT_ID slot, CK_FLAGS flags);

  Session(Session&& other) noexcept
      : module_(std::move(other.module_)),
        handle_(std::exchange(other.handle_, CK_INVALID_HANDLE)),
        generation_(other.generation_) {}
  Session& operator=(Session&&) = delete;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // One C_Login as CKU_USER. Logged in already counts as done. kPinRefused, kPinLocked.
  Status LogIn(const Pin& pin);

  Result<std::vector<CK_OBJECT_HANDLE>> Find(std::span<CK_ATTRIBUTE> pattern);

  // Empty optional: the token does not know the attribute for this object. kNotFound: the object is gone.
  Result<std::optional<Bytes>> Read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

  Result<CK_OBJECT_HANDLE> Create(std::span<CK_ATTRIBUTE> attributes);

  // An object that is gone already counts as destroyed.
  Status Destroy(CK_OBJECT_HANDLE object);

  struct KeyPair {
    CK_OBJECT_HANDLE public_key;
    CK_OBJECT_HANDLE private_key;
  };
  Result<KeyPair> GenerateKeyPair(CK_MECHANISM mechanism, std::span<CK_ATTRIBUTE> public_template,
                                  std::span<CK_ATTRIBUTE> private_template);

  // Whether its login as CKU_USER stands. UNAVAILABLE when not.
  Status CheckLogin();

  // What the mechanism takes: a message, or a digest of just its length.
  Result<Bytes> Sign(const SigningMechanism& mechanism, CK_OBJECT_HANDLE key, BytesView data);

 private:
  Session(std::shared_ptr<Module> module, CK_SESSION_HANDLE handle, unsigned generation)
      : module_(std::move(module)), handle_(handle), generation_(generation) {}

  // Before each call: of a module that was reloaded the handle may mean another session by now.
  Result<Module::Use> Enter(const char* function) const;
  std::unexpected<Error> Failed(const char* function, CK_RV rv);

  std::shared_ptr<Module> module_;
  CK_SESSION_HANDLE handle_;  // CK_INVALID_HANDLE: moved from, or not there any more
  unsigned generation_;
};

}  // namespace assertion::p11
