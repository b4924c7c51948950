#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "p11/hsm_token.h"
#include "p11/module.h"

namespace assertion {

// A TPM 2.0 in software (swtpm) that nobody has used yet, its resource manager (tpm2-abrmd) on a message bus of its
// own, and this process logged in to tpm2-pkcs11's token "test" on it. All of it is gone with the object; when this
// process is killed, what runs ends by itself. One at a time in a process: the module reads the environment when it is
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
