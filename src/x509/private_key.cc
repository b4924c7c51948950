#include "x509/private_key.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "assertion/descriptor.h"
#include "x509/openssl.h"

namespace assertion::x509 {
namespace {

// X.690 section 8.
constexpr std::uint8_t kIntegerTag = 0x02;
constexpr std::uint8_t kBitStringTag = 0x03;
constexpr std::uint8_t kOctetStringTag = 0x04;
constexpr std::uint8_t kSequenceTag = 0x30;
constexpr std::uint8_t kFirstTagged = 0xA0;   // [0], constructed
constexpr std::uint8_t kSecondTagged = 0xA1;  // [1], constructed
constexpr std::uint8_t kPublicKeyTag = 0x81;  // [1] of RFC 5958

constexpr std::string_view kRsaAlgorithm = "\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01\x05";  // and NULL, see below
constexpr std::string_view kEcAlgorithm = "\x06\x07\x2A\x86\x48\xCE\x3D\x02\x01";

using PkeyInfoPtr = std::unique_ptr<PKCS8_PRIV_KEY_INFO, Deleter<PKCS8_PRIV_KEY_INFO_free>>;

std::unexpected<Error> NoKey(const std::string& why) {
  return Fail(Code::kInvalidArgument,
              "private_key: " + why +
                  "; must be PKCS#8, not encrypted, with an RSA key of two primes, a key on P-256, "
                  "P-384 or P-521 with its public key, or an Ed25519 key");
}

// Takes values of DER one after the other. Each is a view; after a value that does not fit, all are empty.
class DerReader {
 public:
  explicit DerReader(BytesView octets) : rest_(octets) {}

  bool Next(std::uint8_t tag) const { return !failed_ && !rest_.empty() && rest_.front() == tag; }

  BytesView Take(std::uint8_t tag) {
    const auto header = Next(tag) ? HeaderSize() : 0;
    const auto size = header == 0 ? 0 : ContentSize(header);
    if (header == 0 || size > rest_.size() - header) {
      failed_ = true;
      return {};
    }
    const auto content = rest_.subspan(header, size);
    rest_ = rest_.subspan(header + size);
    return content;
  }

  // A positive number without leading zero octets.
  BytesView TakeNumber() {
    const auto content = Take(kIntegerTag);
    failed_ = failed_ || content.empty() || content.front() >= 0x80 || (content.size() == 1 && content.front() == 0);
    return failed_ ? BytesView() : content.front() == 0 ? content.subspan(1) : content;
  }

  // False unless it is a number of one octet.
  bool TakeVersion(std::uint8_t version) {
    const auto content = Take(kIntegerTag);
    return content.size() == 1 && content.front() == version;
  }

  bool AtEnd() const { return !failed_ && rest_.empty(); }
  bool failed() const { return failed_; }

 private:
  // Tag and length, of lengths below 64 KiB; 0: it is longer, or cut off.
  std::size_t HeaderSize() const {
    constexpr std::size_t kShort = 2;
    const auto header = rest_.size() < kShort ? 0
                        : rest_[1] < 0x80     ? 2U
                        : rest_[1] == 0x81    ? 3U
                        : rest_[1] == 0x82    ? 4U
                                              : 0U;
    return header <= rest_.size() ? header : 0;
  }

  std::size_t ContentSize(std::size_t header) const {
    std::size_t size = header == 2 ? rest_[1] : 0;
    for (std::size_t i = 2; i < header; ++i) {
      size = size * 256 + rest_[i];
    }
    return size;
  }

  BytesView rest_;
  bool failed_ = false;
};

Bytes Copied(BytesView octets) { return {octets.begin(), octets.end()}; }

bool Equals(BytesView octets, std::string_view text) { return std::ranges::equal(octets, AsBytes(text)); }

// RFC 8017 appendix A.1.2.
Status ReadRsa(BytesView content, PrivateKey& key) {
  DerReader outer(content);
  DerReader reader(outer.Take(kSequenceTag));
  if (!reader.TakeVersion(0)) {  // 1: more than two primes
    return NoKey("it is no RSA key with two primes");
  }
  const auto modulus = reader.TakeNumber();
  const auto exponent = reader.TakeNumber();
  constexpr int kPrivateNumbers = 6;
  for (int i = 0; i < kPrivateNumbers; ++i) {
    key.numbers.push_back(reader.TakeNumber());
  }
  if (!reader.AtEnd() || !outer.AtEnd()) {
    return NoKey("its RSA key cannot be read");
  }
  key.public_key = RsaPublicKey{.modulus = Copied(modulus), .exponent = Copied(exponent)};
  return {};
}

// RFC 5915 section 3.
Status ReadEc(BytesView content, const Curve& curve, PrivateKey& key) {
  DerReader outer(content);
  DerReader reader(outer.Take(kSequenceTag));
  const bool known = reader.TakeVersion(1);
  const auto number = reader.Take(kOctetStringTag);
  const bool other_curve = reader.Next(kFirstTagged) && !Equals(reader.Take(kFirstTagged), curve.ec_params);
  DerReader tagged(reader.Take(kSecondTagged));
  const auto point = tagged.Take(kBitStringTag);
  const bool is_whole = reader.AtEnd() && tagged.AtEnd() && outer.AtEnd();
  constexpr std::size_t kHeader = 2;  // no unused bits; not compressed (SEC 1 section 2.3.3)
  if (!known || other_curve || !is_whole || number.size() != curve.octets ||
      point.size() != kHeader + 2 * curve.octets || point[0] != 0 || point[1] != 0x04) {
    return NoKey("its key on " + std::string(curve.name) + " cannot be read, or lacks its public key");
  }
  key.numbers = {number};
  key.public_key = CurvePublicKey{.curve = &curve,
                                  .x = Copied(point.subspan(kHeader, curve.octets)),
                                  .y = Copied(point.subspan(kHeader + curve.octets))};
  return {};
}

// RFC 8410 section 7.
Status ReadEd25519(BytesView content, const Curve& curve, PrivateKey& key) {
  DerReader outer(content);
  const auto number = outer.Take(kOctetStringTag);
  const std::string name(curve.openssl_name);
  const KeyPtr made(outer.AtEnd() && number.size() == curve.octets
                        ? EVP_PKEY_new_raw_private_key_ex(nullptr, name.c_str(), nullptr, number.data(), number.size())
                        : nullptr);
  Bytes x(curve.octets);
  auto size = x.size();
  if (!made || EVP_PKEY_get_raw_public_key(made.get(), x.data(), &size) != 1 || size != x.size()) {
    return NoKey("its Ed25519 key cannot be read");
  }
  key.numbers = {number};
  key.public_key = CurvePublicKey{.curve = &curve, .x = std::move(x), .y = {}};
  return {};
}

Status ReadKey(BytesView algorithm, BytesView content, PrivateKey& key) {
  if (algorithm.size() == kRsaAlgorithm.size() + 1 && algorithm.back() == 0 &&
      Equals(algorithm.first(kRsaAlgorithm.size()), kRsaAlgorithm)) {
    return ReadRsa(content, key);
  }
  for (const auto& curve : kCurves) {
    if (curve.key_type == &kOkp && Equals(algorithm, curve.other_ec_params)) {
      return ReadEd25519(content, curve, key);
    }
    if (curve.key_type == &kEc && Equals(algorithm, std::string(kEcAlgorithm).append(curve.ec_params))) {
      return ReadEc(content, curve, key);
    }
  }
  return NoKey("it is a key of another kind");
}

int GivePassphrase(char* buffer, int size, int /*for_writing*/, void* given) {
  const auto& passphrase = *static_cast<const Secret*>(given);
  if (passphrase.size() == 0 || passphrase.size() > static_cast<std::size_t>(size)) {
    return -1;
  }
  std::memcpy(buffer, passphrase.view().data(), passphrase.size());
  return static_cast<int>(passphrase.size());
}

// As OpenSSL, which without a terminal would write its question to standard error and read the answer from standard
// input, where the key comes from.
bool MayAskOnTerminal() {
  const Descriptor terminal(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  return terminal.get() >= 0 || isatty(STDIN_FILENO) == 1;
}

int AskForPassphrase(char* buffer, int size, int for_writing, void* lacks_terminal) {
  if (!MayAskOnTerminal()) {
    *static_cast<bool*>(lacks_terminal) = true;
    return -1;
  }
  return PEM_def_callback(buffer, size, for_writing, nullptr);
}

}  // namespace

Result<PrivateKey> ParsePkcs8(Secret der) {
  if (der.size() > kLongestPkcs8) {
    return NoKey("it is longer than " + std::to_string(kLongestPkcs8) + " octets");
  }
  DerReader outer(der.view());
  DerReader reader(outer.Take(kSequenceTag));
  const auto version = reader.Take(kIntegerTag);
  const auto algorithm = reader.Take(kSequenceTag);
  const auto content = reader.Take(kOctetStringTag);
  for (const auto optional : {kFirstTagged, kPublicKeyTag}) {  // attributes, public key: of no use here
    if (reader.Next(optional)) {
      reader.Take(optional);
    }
  }
  if (!reader.AtEnd() || !outer.AtEnd() || version.size() != 1 || version.front() > 1) {
    return NoKey("it is not PKCS#8 in DER, or is encrypted");
  }
  PrivateKey key;
  RETURN_IF_ERROR(ReadKey(algorithm, content, key));
  key.pkcs8 = std::move(der);
  return key;
}

Result<Secret> ReadPemKey(BytesView pem, const std::optional<Secret>& passphrase) {
  ERR_clear_error();
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  auto* const given = passphrase ? const_cast<Secret*>(&*passphrase) : nullptr;
  bool lacks_terminal = false;
  const auto read = [&] {
    return KeyPtr(!bio               ? nullptr
                  : given == nullptr ? PEM_read_bio_PrivateKey(bio.get(), nullptr, AskForPassphrase, &lacks_terminal)
                                     : PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassphrase, given));
  };
  const auto key = read();
  if (key && read()) {
    return Fail(Code::kInvalidArgument, "there is more than one private key: give one alone");
  }
  if (lacks_terminal) {
    return Fail(Code::kUnavailable, "the key is encrypted and there is no terminal to ask for its passphrase");
  }
  ERR_clear_error();  // the second attempt has found none
  const PkeyInfoPtr info(key ? EVP_PKEY2PKCS8(key.get()) : nullptr);
  const auto size = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr) : 0;
  if (size <= 0) {
    return Fail(Code::kInvalidArgument,
                "there is no private key in PEM (PKCS#8, PKCS#1 or SEC 1), or its passphrase is wrong", TakeErrors());
  }
  Secret der(static_cast<std::size_t>(size));
  auto* end = der.data();
  i2d_PKCS8_PRIV_KEY_INFO(info.get(), &end);
  return der;
}

}  // namespace assertion::x509
