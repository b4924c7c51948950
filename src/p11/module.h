#pragma once

#include <p11-kit/pkcs11.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/token_uri.h"
#include "p11/held_time.h"
#include "p11/known_faults.h"
#include "p11/object_gate.h"

namespace assertion::p11 {

// One token as C_GetTokenInfo describes it, blank padding removed.
struct TokenInfo {
  CK_SLOT_ID slot;
  std::string label;
  std::string manufacturer;
  std::string model;
  std::string serial;
  std::string firmware;
  CK_FLAGS flags;
  CK_TOKEN_INFO raw;  // padded with blanks, as p11-kit compares it
};

// A vendor's PKCS#11 module, loaded and initialised for use from many threads. Load each path once in a process.
class Module {
 public:
  // `init_args` is given to C_Initialize as pReserved, which some modules read their parameters from; empty: none.
  // kModuleUnusable when it cannot be loaded or initialised.
  static Result<std::shared_ptr<Module>> Load(const std::string& path, std::string init_args = {});

  // Sets variables that the module reads. Call it before other threads run and before Load.
  static void SetEnvironment(const std::map<std::string, std::string>& variables);

  // Calls C_Finalize, which ends the module for every user in the process (the OpenSSL provider, the engine): destroy
  // this object last. The library stays mapped, because modules leave exit handlers behind.
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // The module is not reloaded while a Use lives. Hold one during every call. Belongs to one thread.
  using Use = std::shared_lock<std::shared_timed_mutex>;
  Use Enter() const { return Use(lifetime_); }

  // Access for one call, serialised for modules that take one call at a time. It lasts until the end of the full
  // expression: do not make two calls in one expression.
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

  // Every call that searches a token for objects, reads, creates or destroys them passes the gate of its slot.
  ObjectGate& ObjectsOf(CK_SLOT_ID slot) const;

  // Hold it from C_FindObjectsInit to C_FindObjectsFinal; empty for modules that search on several threads at once.
  std::unique_lock<std::mutex> SearchTurn() const;

  // Reload fails with UNAVAILABLE at once while the returned object lives. It is not a lock, so that it cannot deadlock
  // with locks that are taken before or after it.
  static std::shared_ptr<void> Hold(std::shared_ptr<Module> module);

  // Calls C_Finalize and C_Initialize: all sessions and handles become invalid. UNAVAILABLE when calls into the module
  // do not return, or when it does not start again; FAILED_PRECONDITION when another user of this process initialised
  // it. `alone_now` is called once no other thread is in the module.
  Status Reload(const std::function<void()>& alone_now = {});

  // When a reload kept the calls for all tokens of the module waiting.
  const HeldTime& reloading() const { return reloading_; }

  // True once the module has refused a read-only session and given a read-write one (see Session::Open).
  bool refuses_read_only() const { return refuses_read_only_; }
  void FoundToRefuseReadOnly() { refuses_read_only_ = true; }

  const KnownFaults& faults() const { return faults_; }

  // Number of reloads. A session or handle is valid in one generation.
  unsigned generation() const { return generation_; }

  const std::string& path() const { return path_; }
  Result<CK_INFO> Info() const;  // texts are padded with blanks

  // Manufacturer, description and version of the library; empty when C_GetInfo fails.
  std::string Name() const;

  // Finds the one token that the URI names. kTokenAbsent, kTokenAmbiguous. `reloads`: how often the module may be
  // reloaded to find a token that it missed; each time all other users of the module have to log in again.
  static constexpr int kMostReloads = 3;
  Result<TokenInfo> FindToken(const TokenUri& uri, int reloads = kMostReloads);

  // Finds the same token again, perhaps in another slot. kTokenAbsent.
  Result<TokenInfo> FindAgain(const TokenInfo& token) const;

 private:
  Module(std::string path, std::string init_args, CK_FUNCTION_LIST* functions);

  Status Initialize();
  Result<std::vector<TokenInfo>> ListTokens() const;

  const std::string path_;
  std::string init_args_;  // not const: C_Initialize takes a plain pointer
  CK_FUNCTION_LIST* functions_;
  const KnownFaults faults_;
  // Taken only if faults_.one_call_at_a_time, which the analysis of Mutex cannot follow; it guards no member.
  mutable std::mutex turn_;
  mutable std::mutex search_turn_;  // taken only if faults_.one_search_at_a_time
  mutable Mutex gates_mutex_;
  mutable std::map<CK_SLOT_ID, ObjectGate> gates_ GUARDED_BY(gates_mutex_);
  bool initialized_here_ = false;
  mutable std::shared_timed_mutex lifetime_;
  HeldTime reloading_;
  std::atomic<unsigned> generation_ = 0;
  std::atomic<int> held_ = 0;
  std::atomic<bool> refuses_read_only_ = false;
};

// The error of a PKCS#11 call that did not return CKR_OK. INTERNAL when the module rejects the request itself;
// otherwise UNAVAILABLE: the token, the session or the login is gone.
Error CryptokiError(const char* function, CK_RV rv);

// p11-kit's text and the number, for example "The operation failed (0x6)".
std::string CryptokiText(CK_RV rv);

}  // namespace assertion::p11
