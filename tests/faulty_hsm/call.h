#pragma once

#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "faults.h"

// Every call passes here: it meets the fault that a rule asks for, or the real module.
namespace faulty_hsm {

// Handles as the caller sees them are the real ones plus this.
constexpr CK_OBJECT_HANDLE kRenumbered = 1'000'000;

inline CK_FUNCTION_LIST* real = nullptr;
inline std::atomic<bool> was_removed = false;
inline std::atomic<bool> is_wedged = false;
inline std::atomic<CK_RV> is_idle = CKR_OK;  // or what timed-out sessions answer
inline std::atomic<CK_SLOT_ID> slot_offset = 0;
inline std::atomic<CK_OBJECT_HANDLE> offset = 0;
inline std::atomic<bool> renumbering = false;
inline std::shared_mutex calling;  // SoftHSM does not stand that sessions are closed under a call

inline Faults& TheFaults() {
  static auto* faults = new Faults;  // outlives every thread
  return *faults;
}

inline void CloseSessions() {
  const std::unique_lock alone(calling);
  CK_ULONG count = 0;
  real->C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> slots(count);
  real->C_GetSlotList(CK_TRUE, slots.data(), &count);
  for (const auto slot : slots) {
    real->C_CloseAllSessions(slot);
  }
  TheFaults().ForgetSessions();
}

// The sessions and the login end with the token's absence, as they would with a card's.
inline void Remove() {
  if (!was_removed.exchange(true)) {
    CloseSessions();
  }
}

inline CK_RV Removed(std::string_view function) {
  if (function == "C_GetSlotList" || function == "C_GetInfo" || function == "C_CloseSession") {
    return CKR_OK;  // answered for itself
  }
  return function == "C_GetTokenInfo" || function == "C_OpenSession" || function == "C_GetMechanismInfo"
             ? CKR_TOKEN_NOT_PRESENT
             : CKR_DEVICE_REMOVED;
}

// Needs no session that the device knows.
inline bool IsAnsweredWhenIdle(std::string_view function) {
  static constexpr std::array<std::string_view, 11> kOfModule = {
      "C_Initialize", "C_Finalize",         "C_GetInfo",          "C_GetSlotList", "C_GetSlotInfo",   "C_GetTokenInfo",
      "C_Login",      "C_GetMechanismList", "C_GetMechanismInfo", "C_OpenSession", "C_GetSessionInfo"};
  return std::ranges::find(kOfModule, function) != kOfModule.end() || function.starts_with("C_Close");
}

// Does what comes before the real call. Returns an answer that replaces the call, or nothing. Fills `taken`.
inline std::optional<CK_RV> Before(std::string_view function, Taken& taken) {
  taken = TheFaults().Take(function);
  if (is_wedged && function != "C_Finalize") {
    return CKR_DEVICE_ERROR;
  }
  if (taken.removed) {
    Remove();
    const auto answer = Removed(function);
    return function == "C_Initialize" || function == "C_Finalize" || answer == CKR_OK ? std::nullopt
                                                                                      : std::optional(answer);
  }
  was_removed = false;
  if (taken.Is("idle")) {
    is_idle = taken.idle;
  }
  if (is_idle != CKR_OK && !IsAnsweredWhenIdle(function)) {
    return is_idle.load();
  }
  if (taken.missing) {
    return taken.missing;
  }
  if (taken.renumber != renumbering.exchange(taken.renumber)) {
    offset += kRenumbered;
  }
  if (taken.Is("fail")) {
    return taken.rule->value;
  }
  if (taken.Is("wedged")) {
    is_wedged = true;
    return CKR_DEVICE_ERROR;
  }
  if (taken.Is("limit") && TheFaults().OpenSessions() >= static_cast<long>(taken.rule->value)) {
    return CKR_SESSION_COUNT;
  }
  if (taken.Is("dropped")) {
    CloseSessions();
  } else if (taken.Is("delay")) {
    std::this_thread::sleep_for(taken.rule->delay.Draw());
  } else if (taken.Is("hang")) {
    while (TheFaults().Has("hang")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  } else if (taken.Is("crash")) {
    std::_Exit(70);
  }
  return std::nullopt;
}

inline CK_OBJECT_HANDLE ToReal(CK_OBJECT_HANDLE seen) { return seen < offset ? CK_INVALID_HANDLE : seen - offset; }

// Another private key of the token than this one; itself when there is no other.
inline CK_OBJECT_HANDLE Other(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
  CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE pattern{CKA_CLASS, &object_class, sizeof object_class};
  std::array<CK_OBJECT_HANDLE, 16> found{};
  CK_ULONG count = 0;
  real->C_FindObjectsInit(session, &pattern, 1);
  real->C_FindObjects(session, found.data(), found.size(), &count);
  real->C_FindObjectsFinal(session);
  const auto* end = found.begin() + count;
  const auto* other = std::find_if(found.cbegin(), end, [&](auto handle) { return handle != key; });
  return other == end ? key : *other;
}

// Keeps the processes apart that share FAULTY_HSM_STORES: held for every call, alone for one that makes, changes or
// destroys objects.
class StoreLock {
 public:
  explicit StoreLock(bool alone) {
    if (const char* path = std::getenv("FAULTY_HSM_STORES")) {
      file_ = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
      if (file_ < 0 || flock(file_, alone ? LOCK_EX : LOCK_SH) != 0) {
        std::abort();  // a token that is another than the test asked for would let it pass
      }
    }
  }
  ~StoreLock() {
    if (file_ >= 0) {
      close(file_);
    }
  }
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;

 private:
  int file_ = -1;
};

// Returns the rule's answer or that of `call`, which gets the rule for what it must do after the real call.
// `stores`: it makes, changes or destroys objects.
template <typename Call>
inline CK_RV Faulty(std::string_view function, const Call& call, bool stores = false) {
  const auto called = std::chrono::steady_clock::now();
  Taken taken;
  if (const auto answer = Before(function, taken)) {
    return *answer;
  }
  const auto rv = [&] {
    const StoreLock beside_others(stores);
    const std::shared_lock lock(calling);
    return call(taken);
  }();
  if (taken.Is("take")) {
    std::this_thread::sleep_until(called + taken.rule->delay.Draw());
  }
  return rv;
}

// For a call that stores. SoftHSM2 2.6.1 takes what others stored since its last search for known when it does.
template <typename Call>
inline CK_RV FaultyStore(std::string_view function, CK_SESSION_HANDLE session, const Call& call) {
  const auto searched = [&](const Taken& taken) {
    if (std::getenv("FAULTY_HSM_STORES") != nullptr && real->C_FindObjectsInit(session, nullptr, 0) == CKR_OK) {
      real->C_FindObjectsFinal(session);
    }
    return call(taken);
  };
  return Faulty(function, searched, /*stores=*/true);
}

// Every function: the fault, or the real call.
template <auto Member, const char* Name>
struct Wrapped;
template <typename... A, CK_RV (*CK_FUNCTION_LIST::*Member)(A...), const char* Name>
struct Wrapped<Member, Name> {
  static CK_RV Call(A... arguments) {
    return Faulty(Name, [&](const Taken&) { return (real->*Member)(arguments...); });
  }
};

}  // namespace faulty_hsm
