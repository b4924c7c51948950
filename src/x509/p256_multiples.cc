#include "x509/p256_multiples.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include <array>
#include <utility>

#include "x509/openssl.h"

namespace assertion::x509 {
namespace {

using DigestPtr = std::unique_ptr<EVP_MD, Deleter<EVP_MD_free>>;
using GroupPtr = std::unique_ptr<EC_GROUP, Deleter<EC_GROUP_free>>;
using NumberContextPtr = std::unique_ptr<BN_CTX, Deleter<BN_CTX_free>>;
using PointPtr = std::unique_ptr<EC_POINT, Deleter<EC_POINT_free>>;

// OpenSSL 3 deprecates the precomputation of multiples and has nothing in its place.
bool Precompute([[maybe_unused]] EC_GROUP* group) {
#ifdef OPENSSL_NO_DEPRECATED_3_0
  return false;
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return EC_GROUP_precompute_mult(group, nullptr) == 1 && EC_GROUP_have_precompute_mult(group) == 1;
#pragma GCC diagnostic pop
#endif
}

// Frees what BN_CTX_get gave.
class NumberFrame {
 public:
  explicit NumberFrame(BN_CTX* context) : context_(context) { BN_CTX_start(context_); }
  ~NumberFrame() { BN_CTX_end(context_); }
  NumberFrame(const NumberFrame&) = delete;
  NumberFrame& operator=(const NumberFrame&) = delete;

  BIGNUM* Next() { return BN_CTX_get(context_); }

 private:
  BN_CTX* const context_;
};

// The public key as a point of the curve; false: it is none.
bool SetPoint(const EC_GROUP* curve, const CurvePublicKey& key, EC_POINT* point) {
  const BignumPtr x(BN_bin2bn(key.x.data(), static_cast<int>(key.x.size()), nullptr));
  const BignumPtr y(BN_bin2bn(key.y.data(), static_cast<int>(key.y.size()), nullptr));
  return x && y && EC_POINT_set_affine_coordinates(curve, point, x.get(), y.get(), nullptr) == 1;
}

// Reads a number from 1 to order - 1.
bool ReadFactor(BytesView octets, const BIGNUM* order, BIGNUM* number) {
  return BN_bin2bn(octets.data(), static_cast<int>(octets.size()), number) != nullptr && BN_is_zero(number) == 0 &&
         BN_cmp(number, order) < 0;
}

std::atomic<int> places{P256Multiples::kMostTables};

}  // namespace

class P256Multiples::Table {
 public:
  // Null: OpenSSL makes none.
  static std::unique_ptr<Table> New(const CurvePublicKey& key);

  bool Verify(std::string_view input, BytesView signature) const;

 private:
  Table(GroupPtr curve, GroupPtr key, DigestPtr digest)
      : curve_(std::move(curve)), key_(std::move(key)), digest_(std::move(digest)) {}

  GroupPtr curve_;
  GroupPtr key_;  // the curve with the public key as its generator
  DigestPtr digest_;
};

std::unique_ptr<P256Multiples::Table> P256Multiples::Table::New(const CurvePublicKey& key) {
  GroupPtr curve(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  GroupPtr own(curve ? EC_GROUP_dup(curve.get()) : nullptr);
  DigestPtr digest(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  const PointPtr point(curve ? EC_POINT_new(curve.get()) : nullptr);
  if (!own || !digest || !point || !SetPoint(curve.get(), key, point.get()) ||
      EC_GROUP_set_generator(own.get(), point.get(), EC_GROUP_get0_order(curve.get()), BN_value_one()) != 1 ||
      !Precompute(own.get())) {
    ERR_clear_error();
    return nullptr;
  }
  return std::unique_ptr<Table>(new Table(std::move(curve), std::move(own), std::move(digest)));
}

bool P256Multiples::Table::Verify(std::string_view input, BytesView signature) const {
  constexpr std::size_t kOctets = 32;
  std::array<unsigned char, kOctets> digest{};
  const NumberContextPtr context(BN_CTX_new());
  const PointPtr sum(EC_POINT_new(curve_.get()));
  const PointPtr of_key(EC_POINT_new(key_.get()));
  if (signature.size() != 2 * kOctets || !context || !sum || !of_key ||
      EVP_Digest(input.data(), input.size(), digest.data(), nullptr, digest_.get(), nullptr) != 1) {
    return false;
  }
  NumberFrame numbers(context.get());
  auto* const r = numbers.Next();
  auto* const s = numbers.Next();
  auto* const u1 = numbers.Next();
  auto* const u2 = numbers.Next();
  auto* const x = numbers.Next();  // null if any of them is
  const auto* const order = EC_GROUP_get0_order(curve_.get());
  const bool good =
      x != nullptr && ReadFactor(signature.first(kOctets), order, r) && ReadFactor(signature.last(kOctets), order, s) &&
      BN_bin2bn(digest.data(), kOctets, u1) != nullptr && BN_mod_inverse(s, s, order, context.get()) != nullptr &&
      BN_mod_mul(u1, u1, s, order, context.get()) == 1 && BN_mod_mul(u2, r, s, order, context.get()) == 1 &&
      EC_POINT_mul(curve_.get(), sum.get(), u1, nullptr, nullptr, context.get()) == 1 &&
      EC_POINT_mul(key_.get(), of_key.get(), u2, nullptr, nullptr, context.get()) == 1 &&
      EC_POINT_add(curve_.get(), sum.get(), sum.get(), of_key.get(), context.get()) == 1 &&
      EC_POINT_get_affine_coordinates(curve_.get(), sum.get(), x, nullptr, context.get()) == 1 &&  // not of infinity
      BN_nnmod(x, x, order, context.get()) == 1 && BN_cmp(x, r) == 0;
  if (!good) {
    ERR_clear_error();
  }
  return good;
}

P256Multiples::P256Multiples(CurvePublicKey key) : key_(std::move(key)) {}

P256Multiples::~P256Multiples() { places += table_ ? 1 : 0; }

bool P256Multiples::Verify(std::string_view input, BytesView signature) {
  const auto* table = usable_.load(std::memory_order_acquire);
  if (table != nullptr) {
    return table->Verify(input, signature);
  }
  if (asked_.fetch_add(1, std::memory_order_relaxed) % kInUse == kInUse - 1) {
    MakeTable();
  }
  return false;
}

// On the thread of one signature; the others go on without a table.
void P256Multiples::MakeTable() {
  if (begun_.exchange(true)) {
    return;
  }
  if (--places < 0) {
    ++places;
    begun_ = false;  // a key that goes may leave its place
    return;
  }
  table_ = Table::New(key_);
  if (table_ == nullptr) {
    ++places;
    return;
  }
  usable_.store(table_.get(), std::memory_order_release);
}

}  // namespace assertion::x509
