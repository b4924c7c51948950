#pragma once

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <string>
#include <string_view>
#include <vector>

namespace assertion::bench {

// How a token is asked to sign for a JWS algorithm, and over what.
struct RawMechanism {
  // `offered`: RawToken::Mechanisms. Throws when there is no such one here.
  RawMechanism(std::string_view algorithm, const std::vector<CK_MECHANISM_TYPE>& offered);

  CK_MECHANISM_TYPE type;
  std::vector<unsigned char> parameter;  // empty: none
  std::vector<unsigned char> input;
};

// A token by Cryptoki alone, with nothing between: what the service is measured against. Throws what goes wrong.
class RawToken {
 public:
  // Loads the module and logs in. `uri` and `init_args` are those of a configuration's "hsm".
  explicit RawToken(const std::string& uri, std::string init_args = {});

  ~RawToken();
  RawToken(const RawToken&) = delete;
  RawToken& operator=(const RawToken&) = delete;

  [[nodiscard]] CK_SESSION_HANDLE OpenSession() const;
  void CloseSession(CK_SESSION_HANDLE session) const { functions_->C_CloseSession(session); }

  // What C_GetMechanismList tells.
  [[nodiscard]] std::vector<CK_MECHANISM_TYPE> Mechanisms() const;

  // The only one of that label.
  [[nodiscard]] CK_OBJECT_HANDLE FindPrivateKey(CK_SESSION_HANDLE session, std::string label) const;

  // C_SignInit and C_Sign.
  void Sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const RawMechanism& mechanism) const;

 private:
  void LoadModule(const char* path);
  void FindSlot(P11KitUri* uri);
  void LogIn(std::string_view pin_source);

  std::string init_args_;
  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_SLOT_ID slot_{};
};

}  // namespace assertion::bench
