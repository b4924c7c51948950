#pragma once

#include <chrono>

#include "assertion/mutex.h"

namespace assertion::p11 {

// Keeps calls that search a token for objects or read them (readers) apart from calls that create or destroy one
// (writers).
// PKCS#11 lets threads do both at once, but SoftHSM2 2.6.1 caches an object that it reads half written as invalid:
// C_CreateObject or C_GenerateKeyPair fails with CKR_GENERAL_ERROR, or the finished object stays invisible until
// C_Finalize. It is not a lock: no one waits longer than `patience`, because a network HSM that takes seconds to
// generate a key must not delay a revocation.
class ObjectGate {
 public:
  static constexpr std::chrono::milliseconds kPatience{1000};
  explicit ObjectGate(std::chrono::milliseconds patience = kPatience) : patience_(patience) {}

  // The latest moment at which a reader would have had to wait: now while a writer holds readers back.
  std::chrono::steady_clock::time_point HeldReadersUntil() const;

  // True while a writer that began in the last two minutes is at work: an RSA key takes that long on a slow HSM.
  bool IsWriting() const;

  // Any number at a time. Waits for a writer until that writer is older than the patience.
  class [[nodiscard]] Reader {
   public:
    explicit Reader(ObjectGate& gate);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

   private:
    ObjectGate& gate_;
  };

  // One at a time. Holds back new readers at once, and waits at most the patience for the others.
  class [[nodiscard]] Writer {
   public:
    explicit Writer(ObjectGate& gate);
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

   private:
    ObjectGate& gate_;
  };

 private:
  const std::chrono::milliseconds patience_;
  mutable Mutex mutex_;
  ConditionVariable changed_;
  int readers_ GUARDED_BY(mutex_) = 0;
  int writers_ GUARDED_BY(mutex_) = 0;
  std::chrono::steady_clock::time_point latest_write_ GUARDED_BY(mutex_);  // when the latest writer began
  std::chrono::steady_clock::time_point held_until_ GUARDED_BY(mutex_);    // by the writers that have ended
};

}  // namespace assertion::p11
