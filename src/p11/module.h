#pragma once

#include <p11-kit/pkcs11.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "assertion/error.h"
#include "assertion/token_uri.h"
#include "p11/object_gate.h"

namespace assertion::p11 {

// What C_GetTokenInfo says of one token, blank padding removed.
struct TokenInfo {
  CK_SLOT_ID slot;
  std::string label;
  std::string manufacturer;
  std::string model;
  std::string serial;
  std::string firmware;
  CK_FLAGS flags;
  CK_TOKEN_INFO raw;  // as p11-kit compares it, padded with blanks
};

// A vendor's PKCS#11 module: loaded, and initialised for use from many threads. One a process and path.
class Module {
 public:
  // kModuleUnusable when it cannot be loaded or initialised.
  static Result<std::shared_ptr<Module>> Load(const std::string& path);

  // C_Finalize ends the module for every user in the process (the OpenSSL provider, the engine), so this object goes
  // last. The library stays mapped: modules leave exit handlers behind.
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // While one lives the module is not reloaded; whoever calls it holds one. Belongs to one thread.
  using Use = std::shared_lock<std::shared_timed_mutex>;
  Use Enter() const { return Use(lifetime_); }

  // For one call, which waits for its turn where the module takes one at a time. It ends with the full expression, in
  // which there must be no other.
  class Call {
   public:
    CK_FUNCTION_LIST* operator->() const { return functions_; }

   private:
    friend class Module;
    Call(CK_FUNCTION_LIST* functions, std::unique_lock<std::mutex> turn)
        : functions_(functions), turn_(std::move(turn)) {}

    CK_FUNCTION_LIST* functions_;
    std::unique_lock<std::mutex> turn_;
  };
  Call operator->() const;

  // Each call that searches for objects, reads or changes them goes through it.
  ObjectGate& objects() const { return objects_; }

  // While what it returns lives Reload is UNAVAILABLE at once. Not a lock: other locks are taken before and after it.
  static std::shared_ptr<void> Hold(std::shared_ptr<Module> module);

  // C_Finalize and C_Initialize: every session and handle of before is void. UNAVAILABLE when calls into the module do
  // not return, or when it does not start again; FAILED_PRECONDITION when somebody else had initialised it. `alone_now`
  // is called once nobody is in the module any more.
  Status Reload(const std::function<void()>& alone_now = {});

  // How often it was reloaded: a session or handle is good for one generation.
  unsigned generation() const { return generation_; }

  const std::string& path() const { return path_; }
  Result<CK_INFO> Info() const;  // its texts padded with blanks

  // Manufacturer, description and version of the library; empty when it does not tell them.
  std::string Name() const;

  // The one token that the URI names. kTokenAbsent, kTokenAmbiguous. `may_reload`: nobody else uses the module, so that
  // it can be initialised anew to see better.
  Result<TokenInfo> FindToken(const TokenUri& uri, bool may_reload = true);

  // The same token as it is now, perhaps in another slot. kTokenAbsent.
  Result<TokenInfo> FindAgain(const TokenInfo& token) const;

 private:
  Module(std::string path, CK_FUNCTION_LIST* functions);

  Status Initialize();
  Result<std::vector<TokenInfo>> ListTokens() const;

  std::string path_;
  CK_FUNCTION_LIST* functions_;
  const bool one_call_at_a_time_;
  mutable std::mutex turn_;
  mutable ObjectGate objects_;
  bool initialized_here_ = false;
  mutable std::shared_timed_mutex lifetime_;
  std::atomic<unsigned> generation_ = 0;
  std::atomic<int> held_ = 0;
};

// The error of a Cryptoki call that did not answer CKR_OK. UNAVAILABLE when the token, the session or the login is
// gone; INTERNAL when the request itself was not to the module's liking.
Error CryptokiError(const char* function, CK_RV rv);

}  // namespace assertion::p11
