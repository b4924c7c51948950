#include "keys/own_key.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "assertion/client.h"
#include "keys/machine_lock.h"
#include "keys/proof.h"
#include "x509/certificate.h"
#include "x509/openssl.h"

namespace assertion {
namespace {

constexpr std::size_t kIdOctets = 16;

bool IsFit(const TokenKey& key) { return !key.flaw && std::ranges::all_of(key.attributes, &KeyAttribute::ok); }

// The candidate that verifies what the key signs becomes its public key. False: none does, so it is not what it seems
// to be. An error says nothing of the key.
Result<bool> FindHalf(Token& token, TokenKey& key) {
  const auto algorithm = std::ranges::find_if(kAlgorithms, [&](const auto& each) {
    return !key.candidates.empty() && Fits(key.candidates.front(), each) && !token.MechanismOf(each).empty();
  });
  if (algorithm == kAlgorithms.end()) {
    return false;
  }
  auto half = FindProvenHalf(token, key, *algorithm, x509::RandomOctets);
  if (half) {
    key.public_key = std::move(*half);
    return true;
  }
  return half.error().code == Code::kKeyUnproven ? Result<bool>(false) : std::unexpected(half.error());
}

Result<TokenKey> Generate(Token& token, std::string_view label, const Random& random) {
  Bytes id(kIdOctets);
  if (!random(id)) {
    return Fail(Code::kInternal, "no random octets for a CKA_ID", "RAND_bytes");
  }
  const auto& algorithm = kAlgorithms.front();
  return token.GenerateKeyPair({.label = std::string(label),
                                .id = std::move(id),
                                .algorithm = &algorithm,
                                .bits = algorithm.default_key_bits()});
}

}  // namespace

Result<std::vector<TokenKey>> FindOwnKeys(Token& token, std::string_view label) {
  ASSIGN_OR_RETURN(auto contents, token.Read({std::string(label)}));
  std::vector<TokenKey> fit;
  for (auto& key : contents.keys) {
    ASSIGN_OR_RETURN(const auto proven, IsFit(key) ? FindHalf(token, key) : false);
    if (proven) {
      fit.push_back(std::move(key));
    }
  }
  std::ranges::sort(fit, {}, &TokenKey::id);
  return fit;
}

Result<TokenKey> FindTlsKey(Token& token, const std::string& chain) {
  const auto leaf = x509::ParsePem(chain);
  if (!leaf) {
    return Fail(Code::kTlsUnusable, leaf.error().message, leaf.error().detail);
  }
  if (!leaf->public_key || !std::holds_alternative<RsaPublicKey>(*leaf->public_key)) {
    return Fail(Code::kTlsUnusable, "the key of TLS must be RSA");
  }
  ASSIGN_OR_RETURN(auto keys, FindOwnKeys(token, kTlsKeyLabel));
  const auto found = std::ranges::find_if(keys, [&](const auto& key) { return key.public_key == leaf->public_key; });
  if (found == keys.end()) {
    return Fail(Code::kTlsUnusable,
                "the token holds no key for this certificate: make both with assertionctl tls generate, or tls csr "
                "and tls import-certificate");
  }
  return std::move(*found);
}

Result<TokenKey> FindOrGenerateOwnKey(Token& token, std::string_view label, const Random& random) {
  const auto lock = MachineLock::TakeFor(token);
  ASSIGN_OR_RETURN(const auto found, lock ? FindOwnKeys(token, label) : std::unexpected(lock.error()));
  return found.empty() ? Generate(token, label, random) : Result<TokenKey>(found.front());
}

Result<TokenKey> GenerateOwnKey(Token& token, std::string_view label, const Random& random) {
  const auto lock = MachineLock::TakeFor(token);
  const auto found = lock ? FindOwnKeys(token, label) : std::unexpected(lock.error());  // a look before the change
  return found ? Generate(token, label, random) : std::unexpected(found.error());
}

}  // namespace assertion
