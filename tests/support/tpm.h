#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "p11/hsm_token.h"
#include "p11/module.h"

namespace assertion {

// A new TPM 2.0 in software (swtpm) with its resource manager (tpm2-abrmd) on its own message bus. This process is
// logged in to the token "test" of tpm2-pkcs11 on it. Everything ends and is removed with the object; the processes end
// too when this process is killed. Only one at a time in a process: the module reads the environment when it is
// initialised.
class Tpm {
 public:
  static constexpr const char* kPin = "8471036592";

  Tpm();
  ~Tpm();
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;

  p11::HsmToken& token() { return *token_; }

 private:
  void StartTpm();
  void StartBus();
  void InitialiseToken() const;
  void LogIn();
  void Stop() const;

  std::string Path(const char* name) const { return directory_ / name; }

  std::filesystem::path directory_;
  pid_t tpm_ = -1;
  pid_t bus_ = -1;
  std::shared_ptr<p11::Module> module_;
  std::unique_ptr<p11::HsmToken> token_;
};

}  // namespace assertion
