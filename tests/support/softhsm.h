#pragma once

#include <p11-kit/pkcs11.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/token_uri.h"
#include "p11/hsm_token.h"
#include "p11/module.h"

namespace assertion {

// SoftHSM2 with its own token directory, which is removed with the object. Only one at a time in a process: the module
// reads SOFTHSM2_CONF when it is initialised.
class SoftHsm {
 public:
  static constexpr const char* kPin = "8471036592";

  SoftHsm();
  ~SoftHsm();
  SoftHsm(const SoftHsm&) = delete;
  SoftHsm& operator=(const SoftHsm&) = delete;

  void AddToken(const std::string& label) const;

  // Copies a token with its objects and PIN, as vendor tools do. No module may be initialised meanwhile. Both labels
  // must have the same length.
  void CloneToken(const std::string& label, const std::string& copy) const;
  void RemoveToken(const std::string& label) const { std::filesystem::remove_all(FolderOf(label)); }

  // The files of all objects of all tokens.
  std::vector<std::filesystem::path> ObjectFiles() const;

  const std::filesystem::path& directory() const { return directory_; }
  std::string pin_file() const { return directory_ / "pin"; }
  std::string UriText(const std::string& label = "test") const;

  // Writes the file with the mode and returns its path.
  std::string Write(const std::string& name, const std::string& content, unsigned mode = 0600) const;

 private:
  std::filesystem::path FolderOf(const std::string& label) const;

  std::filesystem::path directory_;
};

// SoftHSM2 with the token "test". This process is logged in to it.
class LoggedInSoftHsm : public SoftHsm {
 public:
  // `module` is SoftHSM2's module or one that wraps it.
  explicit LoggedInSoftHsm(const std::string& module = SOFTHSM2_MODULE);

  p11::Module& module() { return *module_; }
  std::shared_ptr<p11::Module> module_pointer() { return module_; }
  p11::HsmToken& token() { return *token_; }

  // Makes an RSA-2048 key pair that assertiond did not make, with these attributes of the private key.
  void MakeKey(const std::string& label, const Bytes& id, bool sensitive, bool extractable, bool decrypts = false);

  // Makes a data object that is not private, as a session without login can.
  void StorePublicData(std::string_view application, std::string_view label, std::string_view value);

  // Logs out and finalises the module, as a process does that stops.
  void Close();

 private:
  std::shared_ptr<p11::Module> module_;
  std::unique_ptr<p11::HsmToken> token_;
};

}  // namespace assertion
