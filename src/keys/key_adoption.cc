#include "keys/key_adoption.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "assertion/hsm_settings.h"
#include "jws/thumbprint.h"
#include "keys/key_admission.h"
#include "keys/proof.h"

namespace assertion {
namespace {

class Examination {
 public:
  Examination(const AdoptionQuestion& question, const TokenKey& key) : question_(question), key_(key) {
    candidate_.label = key.label;
    candidate_.id = key.id;
    candidate_.attributes = key.attributes;
  }

  void CheckNames(const Clients& clients) {
    if (key_.id.empty() || key_.id.size() > kLongestAdoptedId) {
      Refuse("its CKA_ID has " + std::to_string(key_.id.size()) + " octets, not 1 to " +
             std::to_string(kLongestAdoptedId));
    }
    const bool is_own = std::ranges::find(kOwnKeyLabels, key_.label) != kOwnKeyLabels.end();
    const bool is_clients = clients.Find(key_.label) != nullptr;
    if (is_own) {
      Refuse("its CKA_LABEL is that of a key of assertiond's own: " + key_.label);
    } else if (is_clients && key_.label != question_.client_id) {
      Refuse("its CKA_LABEL is the id of client '" + key_.label + "': adopt it for that client, or change its label");
    }
  }

  void CheckAttributes() {
    if (key_.flaw) {
      Refuse(key_.flaw->message);
    }
    for (const auto& attribute : key_.attributes) {
      if (!attribute.ok()) {
        const bool acceptable = std::ranges::find(kAcceptable, attribute.name) != kAcceptable.end();
        Refuse(ShownText(attribute) + ", and must be " + (attribute.required.value_or(false) ? "true" : "false") +
               " (" + std::string(attribute.meaning) + ")" +
               (acceptable ? "; accept_unshown of the field hsm can accept it" : ""));
      }
    }
  }

  // The candidates for the public half are of one kind and size: see TokenKey.
  void CheckAlgorithm(const Token& token) {
    if (key_.flaw || key_.candidates.empty()) {
      return;
    }
    const auto& half = key_.candidates.front();
    const auto& algorithm = *question_.algorithm;
    const auto name = std::string(algorithm.name);
    if (!Fits(half, algorithm)) {
      Refuse("it is a key for " + AlgorithmNames([&](const auto& each) { return Fits(half, each); }) + ", not for " +
             name + ": name its algorithm");
    } else if (!algorithm.TakesKeyBits(KeyBits(half))) {
      Refuse("it has " + std::to_string(KeyBits(half)) + " bits, not 2048, 3072 or 4096");
    } else if (!HasSafeExponent(half)) {
      Refuse("its public exponent is not an odd number from " + std::to_string(kLeastExponent) + " on");
    } else if (token.MechanismOf(algorithm).empty()) {
      Refuse("the HSM has no mechanism that signs for " + name);
    }
  }

  // Any error is the token's.
  Status CheckUse(Token& token, Ledger& ledger) {
    ASSIGN_OR_RETURN(kept_, ledger.Read());
    for (const auto& [client_id, error] : kept_.errors) {
      Refuse("the ledger of client '" + client_id + "' cannot be read, and may name the key: " + error.message);
    }
    ASSIGN_OR_RETURN(const auto contents, token.Read({kOwnKeyLabels.begin(), kOwnKeyLabels.end()}));
    own_ = contents.keys;
    const bool is_own = std::ranges::find(own_, key_.id, &TokenKey::id) != own_.end();
    RefuseUsed(is_own, [&](const KeyRecord& record) { return record.id == key_.id; });
    return {};
  }

  // Any error is the token's.
  Status Prove(Token& token, const Random& random) {
    if (!candidate_.obstacles.empty()) {
      return {};
    }
    auto half = FindProvenHalf(token, key_, *question_.algorithm, random);
    if (!half && IsTokenError(half.error())) {
      return std::unexpected(half.error());
    }
    if (!half) {
      Refuse(half.error().code == Code::kKeyUnproven ? half.error().message
                                                     : "it does not sign: " + half.error().message);
      return {};
    }
    candidate_.public_key = std::move(*half);
    candidate_.kid = jws::JwkThumbprint(*candidate_.public_key);
    const bool is_own = std::ranges::any_of(own_, [&](const auto& own) {
      return std::ranges::find(own.candidates, *candidate_.public_key) != own.candidates.end();
    });
    RefuseUsed(is_own, [&](const KeyRecord& record) { return record.kid == candidate_.kid; });
    return {};
  }

  AdoptionCandidate&& Take() && { return std::move(candidate_); }

 private:
  template <typename Matches>
  void RefuseUsed(bool is_own, const Matches& matches) {
    if (is_own) {
      Refuse("it is one of assertiond's own keys");
    }
    for (const auto& [client_id, ledger] : kept_.ledgers) {
      if (std::ranges::any_of(ledger.keys, matches)) {
        Refuse("it is in the ledger of client '" + client_id + "'");
      }
    }
  }

  void Refuse(std::string why) { candidate_.obstacles.push_back(std::move(why)); }

  const AdoptionQuestion& question_;
  const TokenKey& key_;
  LedgerContents kept_;
  std::vector<TokenKey> own_;
  AdoptionCandidate candidate_;
};

}  // namespace

bool HasSafeExponent(const PublicKey& key) {
  const auto* rsa = std::get_if<RsaPublicKey>(&key);
  if (rsa == nullptr) {
    return true;
  }
  const auto& octets = rsa->exponent;
  constexpr std::size_t kLeastOctets = 3;  // an odd number of three octets without leading zeros is 65537 at least
  constexpr std::size_t kMostOctets = 32;
  return octets.size() >= kLeastOctets && octets.size() <= kMostOctets && (octets.back() & 1U) != 0;
}

Result<AdoptionCandidate> ExamineKey(Token& token, Ledger& ledger, const Clients& clients,
                                     const AdoptionQuestion& question, const Random& random) {
  ASSIGN_OR_RETURN(const auto contents, token.Read({}, {question.id}));
  if (contents.keys.empty() && !contents.unguarded.empty()) {
    return Fail(Code::kFailedPrecondition, "cka_id: the private key with CKA_ID " + Hex(question.id) +
                                               " is not CKA_PRIVATE: anybody who reaches the token can make one "
                                               "without the PIN");
  }
  if (contents.keys.empty()) {
    return Fail(Code::kNotFound, "cka_id: the token holds no private key with CKA_ID " + Hex(question.id));
  }
  Examination examination(question, contents.keys.front());
  examination.CheckNames(clients);
  examination.CheckAttributes();
  examination.CheckAlgorithm(token);
  RETURN_IF_ERROR(examination.CheckUse(token, ledger));
  RETURN_IF_ERROR(examination.Prove(token, random));
  return std::move(examination).Take();
}

Status CheckAdoptable(const AdoptionCandidate& candidate, const std::string& kid) {
  std::string obstacles;
  for (const auto& obstacle : candidate.obstacles) {
    obstacles += (obstacles.empty() ? "" : "; ") + obstacle;
  }
  const auto name = "the key with CKA_ID " + Hex(candidate.id);
  if (!obstacles.empty()) {
    return Fail(Code::kFailedPrecondition, "cka_id: " + name + " cannot be adopted: " + obstacles);
  }
  if (candidate.kid != kid) {
    return Fail(Code::kFailedPrecondition,
                "kid: " + name + " has the kid " + candidate.kid + ": examine it again before you adopt it");
  }
  return {};
}

}  // namespace assertion
