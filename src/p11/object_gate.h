#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace assertion::p11 {

// Keeps the calls that search for objects or read them apart from the calls that make or destroy one. PKCS#11 lets
// threads do both at once, but SoftHSM2 2.6.1 caches an object that it reads half written as invalid: C_CreateObject or
// C_GenerateKeyPair fails with CKR_GENERAL_ERROR, or the finished object stays invisible until C_Finalize.
// Nobody waits longer than `patience`: a network HSM that takes seconds to make a key must not delay a revocation.
class ObjectGate {
 public:
  explicit ObjectGate(std::chrono::milliseconds patience = std::chrono::seconds(1)) : patience_(patience) {}

  // Any number at a time, and none beside a change that is younger than the patience.
  class [[nodiscard]] Look {
   public:
    explicit Look(ObjectGate& gate);
    ~Look();
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;

   private:
    ObjectGate& gate_;
  };

  // One at a time. It holds back new looks at once, and waits for the others at most the patience.
  class [[nodiscard]] Change {
   public:
    explicit Change(ObjectGate& gate);
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    ObjectGate& gate_;
  };

 private:
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable moved_;
  int looks_ = 0;
  int changes_ = 0;
  std::chrono::steady_clock::time_point changing_since_;  // of the latest change
};

}  // namespace assertion::p11
