#pragma once

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <string>
#include <string_view>
#include <vector>

namespace assertion::bench {

// How a token is asked to sign for a JWS algorithm, and over what.
struct RawMechanism {
  // Throws when there is no such one here.
  explicit RawMechanism(std::string_view algorithm);

  CK_MECHANISM_TYPE type;
  std::vector<unsigned char> parameter;  // empty: none
  std::vector<unsigned char> input;
};

// A token by Cryptoki alone, with nothing between: what the service is measured against. Throws what goes wrong.
class RawToken {
 public:
  // Loads the module and logs in. `uri` is a configuration's "hsm".
  explicit RawToken(const std::string& uri);

  ~RawToken();
  RawToken(const RawToken&) = delete;
  RawToken& operator=(const RawToken&) = delete;

  [[nodiscard]] CK_SESSION_HANDLE OpenSession() const;
  void CloseSession(CK_SESSION_HANDLE session) const { functions_->C_CloseSession(session); }

  // The only one of that label.
  [[nodiscard]] CK_OBJECT_HANDLE FindPrivateKey(CK_SESSION_HANDLE session, std::string label) const;

  // C_SignInit and C_Sign.
  void Sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const RawMechanism& mechanism) const;

 private:
  void LoadModule(const char* path);
  void FindSlot(P11KitUri* uri);
  void LogIn(std::string_view pin_source);

  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_SLOT_ID slot_{};
};

}  // namespace assertion::bench
