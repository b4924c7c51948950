#include "keys/own_key.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "assertion/client.h"
#include "jws/thumbprint.h"
#include "keys/machine_lock.h"
#include "keys/proof.h"
#include "x509/certificate.h"
#include "x509/openssl.h"

namespace assertion {
namespace {

// A key that another server makes at this moment may be seen before it can sign.
constexpr int kMostLooks = 5;
constexpr std::chrono::milliseconds kBetweenLooks{250};

// The first required attribute that does not have its value.
std::string FlawOf(const TokenKey& key) {
  if (key.flaw) {
    return key.flaw->ToString();
  }
  const auto found = std::ranges::find_if_not(key.attributes, &KeyAttribute::ok);
  return found == key.attributes.end() ? "" : std::string(found->name) + " is not what custody asks for";
}

// False: the error says nothing of the key, only of the token. See SigningSession::Sign.
bool IsOfKey(const Error& error) {
  return error.code == Code::kKeyUnproven || error.code == Code::kLedgerUnusable || error.code == Code::kKeyAmbiguous;
}

// The candidate that verifies what the key signs becomes its public key. kKeyUnproven: none does. Every other error is
// the token's.
Status FindHalf(Token& token, TokenKey& key) {
  const auto algorithm = std::ranges::find_if(kAlgorithms, [&](const auto& each) {  // candidates are of one kind
    return !key.candidates.empty() && Fits(key.candidates.front(), each) && !token.MechanismOf(each).empty();
  });
  if (algorithm == kAlgorithms.end()) {
    return Fail(Code::kKeyUnproven, "no public key of its CKA_ID fits a mechanism of the token");
  }
  auto half = FindProvenHalf(token, key, *algorithm, x509::RandomOctets);
  if (half) {
    key.public_key = std::move(*half);
    return {};
  }
  return IsOfKey(half.error()) ? Fail(Code::kKeyUnproven, "kid " + jws::JwkThumbprint(key.candidates.back()) +
                                                              ": C_Sign: " + half.error().ToString())
                               : std::unexpected(half.error());
}

std::unexpected<Error> Unproven(const TokenKey& key, std::string reason) {
  const auto name = "key '" + key.label + "' with CKA_ID " + Hex(key.id);
  return Fail(Code::kKeyUnproven,
              "the token's own " + name +
                  " does not prove itself, and no other is made beside it: start again; if it stays so, see status 19 "
                  "in the runbook",
              name + ": " + std::move(reason));
}

// The private keys of a label. `unproven`: an error when one of them does not prove itself.
struct OwnKeys {
  std::vector<TokenKey> proven;  // by CKA_ID
  Status unproven;
};

Result<OwnKeys> Look(Token& token, std::string_view label) {
  ASSIGN_OR_RETURN(auto contents, token.Read({std::string(label)}));
  OwnKeys found;
  for (auto& key : contents.keys) {
    const auto flaw = FlawOf(key);
    const Status proven = flaw.empty() ? FindHalf(token, key) : Fail(Code::kKeyUnproven, flaw);
    if (proven) {
      found.proven.push_back(std::move(key));
    } else if (proven.error().code != Code::kKeyUnproven) {
      return Fail(proven.error().code, proven.error().message,
                  "proof of key '" + key.label + "' with CKA_ID " + Hex(key.id) + ": " + proven.error().detail);
    } else if (found.unproven) {
      found.unproven = Unproven(key, proven.error().message);
    }
  }
  std::ranges::sort(found.proven, {}, &TokenKey::id);
  return found;
}

Result<TokenKey> Generate(Token& token, std::string_view label, const Random& random) {
  ASSIGN_OR_RETURN(auto id, RandomId(random));
  const auto& algorithm = kAlgorithms.front();
  return token.GenerateKeyPair({.label = std::string(label),
                                .id = std::move(id),
                                .algorithm = &algorithm,
                                .bits = algorithm.default_key_bits()});
}

}  // namespace

Result<std::vector<TokenKey>> FindOwnKeys(Token& token, std::string_view label) {
  for (int looks = 1;; ++looks) {
    ASSIGN_OR_RETURN(auto found, Look(token, label));
    if (found.unproven) {
      return std::move(found.proven);
    }
    if (looks == kMostLooks) {
      return std::unexpected(found.unproven.error());
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

Result<std::vector<TokenKey>> FindTlsKeys(Token& token) {
  ASSIGN_OR_RETURN(auto found, Look(token, kTlsKeyLabel));
  return std::move(found.proven);
}

Result<PublicKey> TlsPublicKey(const std::string& chain) {
  const auto leaf = x509::ParsePem(chain);
  if (!leaf) {
    return Fail(Code::kTlsUnusable, leaf.error().message, leaf.error().detail);
  }
  if (!leaf->public_key || !std::holds_alternative<RsaPublicKey>(*leaf->public_key)) {
    return Fail(Code::kTlsUnusable, "the key of TLS must be RSA");
  }
  return *leaf->public_key;
}

Result<TokenKey> FindTlsKey(Token& token, const std::string& chain) {
  ASSIGN_OR_RETURN(const auto public_key, TlsPublicKey(chain));
  ASSIGN_OR_RETURN(auto keys, Look(token, kTlsKeyLabel));
  const auto found = std::ranges::find_if(keys.proven, [&](const auto& key) { return key.public_key == public_key; });
  if (found == keys.proven.end()) {
    return Fail(Code::kTlsUnusable,
                "the token holds no key for this certificate: make both with assertionctl tls generate, or tls csr "
                "and tls import-certificate",
                keys.unproven ? "" : keys.unproven.error().detail);
  }
  return std::move(*found);
}

Result<std::vector<TokenKey>> FindOrGenerateOwnKeys(Token& token, std::string_view label, const Random& random) {
  ASSIGN_OR_RETURN(const auto lock, MachineLock::TakeFor(token));
  ASSIGN_OR_RETURN(auto found, FindOwnKeys(token, label));
  if (!found.empty()) {
    return found;
  }
  RETURN_IF_ERROR(Generate(token, label, random));
  ASSIGN_OR_RETURN(found, FindOwnKeys(token, label));
  if (found.empty()) {
    return Fail(Code::kUnavailable, "the HSM is not available; try again",
                "C_FindObjects: no key '" + std::string(label) + "' right after one was made");
  }
  return found;
}

Result<TokenKey> FindOrGenerateOwnKey(Token& token, std::string_view label, const Random& random) {
  ASSIGN_OR_RETURN(auto found, FindOrGenerateOwnKeys(token, label, random));
  return std::move(found.front());
}

Result<TokenKey> GenerateOwnKey(Token& token, std::string_view label, const Random& random) {
  ASSIGN_OR_RETURN(const auto lock, MachineLock::TakeFor(token));
  RETURN_IF_ERROR(Look(token, label));  // a look before the change
  return Generate(token, label, random);
}

}  // namespace assertion
