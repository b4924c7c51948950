// A PKCS#11 module whose RS256 signatures cost nearly nothing, so that what is measured is what assertiond adds. It
// wraps the module of INSTANT_HSM_MODULE and shows for each RSA key of 2048 bits a modulus of its own: a product of
// small primes, modulo each of which all powers stand in a table. A signature is 127 look-ups, one small power and one
// sum. Anybody can factor that modulus: for benchmarks alone.
#include <dlfcn.h>
#include <openssl/bn.h>
#include <openssl/sha.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace instant_hsm {
namespace {

constexpr std::size_t kOctets = 256;
constexpr std::size_t kWords = kOctets / 4;
constexpr std::uint32_t kExponent = 65537;
constexpr std::size_t kSmallPrimes = 127;  // below 2^16; one more makes the product have 2048 bits

struct FreeBignum {
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(BN_CTX* context) const { BN_CTX_free(context); }
};
using Bignum = std::unique_ptr<BIGNUM, FreeBignum>;
using Context = std::unique_ptr<BN_CTX, FreeBignum>;

bool IsPrime(std::uint32_t number) {
  for (std::uint32_t divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) {
      return false;
    }
  }
  return number > 1;
}

std::uint32_t Power(std::uint64_t base, std::uint32_t exponent, std::uint32_t prime) {
  std::uint64_t result = 1;
  for (base %= prime; exponent > 0; exponent >>= 1U, base = base * base % prime) {
    result = (exponent & 1U) != 0 ? result * base % prime : result;
  }
  return static_cast<std::uint32_t>(result);
}

// The inverse of the public exponent modulo prime - 1, by trial: it is needed once.
std::uint32_t PrivateExponent(std::uint32_t prime) {
  for (std::uint64_t k = 1;; ++k) {
    if ((k * (prime - 1) + 1) % kExponent == 0) {
      return static_cast<std::uint32_t>((k * (prime - 1) + 1) / kExponent % (prime - 1));
    }
  }
}

// The key modulo one of its primes.
struct Residue {
  std::uint32_t prime;
  std::uint32_t exponent;                     // private, modulo prime - 1
  std::array<std::uint32_t, kWords> weights;  // 2^(32 i) modulo prime
  std::array<std::uint32_t, kWords> unit;     // 1 modulo prime, 0 modulo the others; least word first

  explicit Residue(std::uint32_t of) : prime(of), exponent(PrivateExponent(of)), weights{}, unit{} {
    std::uint64_t weight = 1;
    for (auto& one : weights) {
      one = static_cast<std::uint32_t>(weight);
      weight = (weight << 32U) % prime;
    }
  }

  std::uint32_t Rest(std::span<const std::uint32_t, kWords> words) const {
    std::uint64_t sum = 0;  // of 64 products below 2^51
    for (std::size_t i = 0; i < kWords; ++i) {
      sum += std::uint64_t{words[i]} * weights[i];
    }
    return static_cast<std::uint32_t>(sum % prime);
  }
};

// All powers modulo the small primes at once, so that the compiler can use the processor's vectors.
class SmallPowers {
 public:
  using Numbers = std::array<std::uint32_t, kSmallPrimes + 1>;  // one more: a multiple of the vectors' length

  void Set(std::size_t i, const Residue& residue) {
    primes_[i] = residue.prime;
    reciprocals_[i] = static_cast<std::uint32_t>((std::uint64_t{1} << 32U) / residue.prime);
    exponents_[i] = residue.exponent;
  }

  void Raise(Numbers& bases) const {
    constexpr std::uint32_t kHighest = 1U << 15U;
    Numbers result;
    result.fill(1);
    for (auto bit = kHighest; bit > 0; bit >>= 1U) {
      for (std::size_t i = 0; i < result.size(); ++i) {
        const auto squared = Multiply(result[i], result[i], i);
        result[i] = Multiply(squared, (exponents_[i] & bit) != 0 ? bases[i] : 1, i);
      }
    }
    bases = result;
  }

 private:
  // Barrett's: the estimate of the quotient is at most two too small.
  std::uint32_t Multiply(std::uint32_t one, std::uint32_t other, std::size_t i) const {
    const auto product = one * other;  // of numbers below 2^16
    const auto quotient = static_cast<std::uint32_t>((std::uint64_t{product} * reciprocals_[i]) >> 32U);
    auto rest = product - quotient * primes_[i];
    rest = std::min(rest, rest - primes_[i]);  // the difference wraps around when it is negative
    return std::min(rest, rest - primes_[i]);
  }

  Numbers primes_{};
  Numbers reciprocals_{};
  Numbers exponents_{};
};

class Key {
 public:
  Key() : modulus_(BN_new()) {
    const Context context(BN_CTX_new());
    double bits = 0;
    for (std::uint32_t candidate = 0xFFFF; residues_.size() < kSmallPrimes; candidate -= 2) {
      if (IsPrime(candidate)) {
        residues_.emplace_back(candidate);
        bits += std::log2(candidate);
      }
    }
    constexpr double kAim = 2047.5;
    auto last = static_cast<std::uint32_t>(std::exp2(kAim - bits)) | 1U;
    while (!IsPrime(last) || last % kExponent == 1) {
      last += 2;
    }
    residues_.emplace_back(last);
    for (std::size_t i = 0; i < kSmallPrimes; ++i) {
      powers_.Set(i, residues_[i]);
    }
    BN_one(modulus_.get());
    for (const auto& residue : residues_) {
      BN_mul_word(modulus_.get(), residue.prime);
    }
    if (BN_num_bits(modulus_.get()) != static_cast<int>(8 * kOctets)) {
      throw std::logic_error("instant_hsm: the modulus has another size");
    }
    for (auto& residue : residues_) {
      const Bignum unit(BN_dup(modulus_.get()));
      BN_div_word(unit.get(), residue.prime);
      const auto rest = static_cast<std::uint32_t>(BN_mod_word(unit.get(), residue.prime));
      BN_mul_word(unit.get(), Power(rest, residue.prime - 2, residue.prime));
      BN_bn2lebinpad(unit.get(), reinterpret_cast<unsigned char*>(residue.unit.data()), kOctets);
    }
    BN_bn2binpad(modulus_.get(), shown_.data(), kOctets);
  }

  const std::array<unsigned char, kOctets>& modulus() const { return shown_; }

  // RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2).
  void Sign(std::span<const unsigned char> text, unsigned char* signature) const {
    constexpr std::array<unsigned char, 19> kDigestInfo = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                                           0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    std::array<unsigned char, kOctets> encoded{};
    encoded.fill(0xFF);
    encoded[0] = 0x00;
    encoded[1] = 0x01;
    const auto info = kOctets - SHA256_DIGEST_LENGTH - kDigestInfo.size();
    encoded[info - 1] = 0x00;
    std::ranges::copy(kDigestInfo, encoded.begin() + info);
    SHA256(text.data(), text.size(), encoded.data() + kOctets - SHA256_DIGEST_LENGTH);
    std::ranges::reverse(encoded);
    std::array<std::uint32_t, kWords> words{};
    std::memcpy(words.data(), encoded.data(), kOctets);

    SmallPowers::Numbers factors{};
    std::ranges::transform(residues_, factors.begin(), [&](const auto& residue) { return residue.Rest(words); });
    const auto last = Power(factors.back(), residues_.back().exponent, residues_.back().prime);
    powers_.Raise(factors);
    factors.back() = last;
    std::array<std::uint64_t, kWords> sums{};  // of 128 products below 2^50
    for (std::size_t of = 0; of < residues_.size(); ++of) {
      for (std::size_t i = 0; i < kWords; ++i) {
        sums[i] += std::uint64_t{factors[of]} * residues_[of].unit[i];
      }
    }
    std::array<std::uint32_t, kWords + 1> sum{};
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < kWords; ++i) {
      carry += sums[i];
      sum[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32U;
    }
    sum.back() = static_cast<std::uint32_t>(carry);
    thread_local const Context context(BN_CTX_new());
    thread_local const Bignum number(BN_new());
    BN_lebin2bn(reinterpret_cast<const unsigned char*>(sum.data()), sizeof sum, number.get());
    BN_nnmod(number.get(), number.get(), modulus_.get(), context.get());
    BN_bn2binpad(number.get(), signature, kOctets);
  }

 private:
  std::vector<Residue> residues_;
  SmallPowers powers_;
  Bignum modulus_;
  std::array<unsigned char, kOctets> shown_{};
};

CK_FUNCTION_LIST* real = nullptr;
CK_FUNCTION_LIST functions{};

const Key& TheKey() {
  static const Key key;
  return key;
}

// Sessions that sign here; the text so far.
std::mutex mutex;
std::unordered_map<CK_SESSION_HANDLE, std::string> signing;

bool IsSigning(CK_SESSION_HANDLE session) {
  const std::scoped_lock lock(mutex);
  return signing.contains(session);
}

CK_RV SignInit(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
  if (mechanism == nullptr || mechanism->mechanism != CKM_SHA256_RSA_PKCS) {
    return real->C_SignInit(session, mechanism, key);
  }
  const std::scoped_lock lock(mutex);
  return signing.emplace(session, std::string()).second ? CKR_OK : CKR_OPERATION_ACTIVE;
}

CK_RV Return(CK_SESSION_HANDLE session, std::span<const unsigned char> text, unsigned char* signature,
             CK_ULONG* length) {
  const auto room = *length;
  *length = kOctets;
  if (signature == nullptr) {
    return CKR_OK;
  }
  if (room < kOctets) {
    return CKR_BUFFER_TOO_SMALL;
  }
  TheKey().Sign(text, signature);
  const std::scoped_lock lock(mutex);
  signing.erase(session);
  return CKR_OK;
}

CK_RV Sign(CK_SESSION_HANDLE session, unsigned char* data, CK_ULONG data_length, unsigned char* signature,
           CK_ULONG* length) {
  return IsSigning(session) ? Return(session, {data, data_length}, signature, length)
                            : real->C_Sign(session, data, data_length, signature, length);
}

CK_RV SignUpdate(CK_SESSION_HANDLE session, unsigned char* part, CK_ULONG part_length) {
  if (!IsSigning(session)) {
    return real->C_SignUpdate(session, part, part_length);
  }
  const std::scoped_lock lock(mutex);
  signing[session].append(reinterpret_cast<const char*>(part), part_length);
  return CKR_OK;
}

CK_RV SignFinal(CK_SESSION_HANDLE session, unsigned char* signature, CK_ULONG* length) {
  if (!IsSigning(session)) {
    return real->C_SignFinal(session, signature, length);
  }
  std::string text;
  {
    const std::scoped_lock lock(mutex);
    text = signing[session];
  }
  return Return(session, {reinterpret_cast<const unsigned char*>(text.data()), text.size()}, signature, length);
}

CK_RV CloseSession(CK_SESSION_HANDLE session) {
  {
    const std::scoped_lock lock(mutex);
    signing.erase(session);
  }
  return real->C_CloseSession(session);
}

CK_RV GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes, CK_ULONG count) {
  const auto rv = real->C_GetAttributeValue(session, object, attributes, count);
  for (auto& attribute : std::span(attributes, count)) {
    if (attribute.type == CKA_MODULUS && attribute.pValue != nullptr && attribute.ulValueLen == kOctets) {
      std::memcpy(attribute.pValue, TheKey().modulus().data(), kOctets);
    }
  }
  return rv;
}

}  // namespace
}  // namespace instant_hsm

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  using namespace instant_hsm;  // NOLINT: of this file
  if (real == nullptr) {
    const char* path = std::getenv("INSTANT_HSM_MODULE");
    void* module = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const auto get = module == nullptr
                         ? nullptr
                         : reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(dlsym(module, "C_GetFunctionList"));
    if (get == nullptr || get(&real) != CKR_OK) {
      return CKR_GENERAL_ERROR;
    }
    functions = *real;
    functions.C_GetFunctionList = &C_GetFunctionList;
    functions.C_SignInit = &SignInit;
    functions.C_Sign = &Sign;
    functions.C_SignUpdate = &SignUpdate;
    functions.C_SignFinal = &SignFinal;
    functions.C_CloseSession = &CloseSession;
    functions.C_GetAttributeValue = &GetAttributeValue;
    TheKey();
  }
  *list = &functions;
  return CKR_OK;
}
