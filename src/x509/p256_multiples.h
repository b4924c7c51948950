#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "assertion/bytes.h"
#include "assertion/public_key.h"

namespace assertion::x509 {

// Verifies ES256 signatures of one public key in half of the usual time once the key is known to be in use: OpenSSL
// then makes a table of the key's multiples, as it has one of the curve's generator. A table takes 150 KiB and, once,
// 20 ms. May be used from any thread.
class P256Multiples {
 public:
  static constexpr std::uint32_t kInUse = 256;  // signatures before the table is made
  static constexpr int kMostTables = 64;        // in the process: 10 MiB

  // `key` is on P-256.
  explicit P256Multiples(CurvePublicKey key);
  ~P256Multiples();
  P256Multiples(const P256Multiples&) = delete;
  P256Multiples& operator=(const P256Multiples&) = delete;

  // True: `signature`, r and s side by side (RFC 7518 section 3.4), is the key's over the SHA-256 of `input` (FIPS
  // 186-5 section 6.4.2). False says only that it was not shown: there may be no table yet.
  bool Verify(std::string_view input, BytesView signature);

  bool has_table() const { return usable_.load(std::memory_order_acquire) != nullptr; }

 private:
  class Table;

  void MakeTable();

  const CurvePublicKey key_;
  std::atomic<std::uint32_t> asked_ = 0;
  std::atomic<bool> begun_ = false;  // a table is being made, was made, or cannot be made
  std::unique_ptr<Table> table_;
  std::atomic<const Table*> usable_ = nullptr;
};

}  // namespace assertion::x509
