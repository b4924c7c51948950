#include "p11/custody_trial.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "assertion/client.h"
#include "p11/attribute.h"
#include "p11/objects.h"
#include "p11/throw_away_pair.h"
#include "p11/unwrap_trial.h"
#include "p11/way_out.h"

namespace assertion::p11 {
namespace {

// A change that would make the key leave, or be of use for more.
struct Weakening {
  CK_ATTRIBUTE_TYPE type;
  const CK_BBOOL& value;
  std::string_view text;
};
constexpr std::array kWeakenings = {Weakening{CKA_SENSITIVE, kFalse, "CKA_SENSITIVE=false"},
                                    Weakening{CKA_EXTRACTABLE, kTrue, "CKA_EXTRACTABLE=true"}};

struct Wrapping {
  CK_MECHANISM_TYPE type;
  std::string_view name;
  std::size_t iv_octets;
  bool is_aes;  // otherwise triple DES
};
constexpr std::array kWrappings = {Wrapping{CKM_AES_KEY_WRAP_PAD, "CKM_AES_KEY_WRAP_PAD", 0, true},
                                   Wrapping{CKM_AES_KEY_WRAP, "CKM_AES_KEY_WRAP", 0, true},
                                   Wrapping{CKM_AES_CBC_PAD, "CKM_AES_CBC_PAD", 16, true},
                                   Wrapping{CKM_AES_CBC, "CKM_AES_CBC", 16, true},
                                   Wrapping{CKM_AES_ECB, "CKM_AES_ECB", 0, true},
                                   Wrapping{CKM_DES3_CBC_PAD, "CKM_DES3_CBC_PAD", 8, false},
                                   Wrapping{CKM_DES3_CBC, "CKM_DES3_CBC", 8, false}};

// The ways, tried on one key. Each step adds what it found.
class Trial {
 public:
  Trial(Session& session, Session& uses, const Algorithm& algorithm, const ThrowAwayPair& pair)
      : session_(session),
        uses_(uses),
        algorithm_(algorithm),
        pair_(pair),
        left_out_(pair.left_out),
        key_(pair.private_key),
        public_key_(pair.public_key) {}

  Status Run() {
    RETURN_IF_ERROR(Read());
    RETURN_IF_ERROR(Wrap());
    RETURN_IF_ERROR(Copy());
    RETURN_IF_ERROR(Use());
    RETURN_IF_ERROR(Unwrap());
    RETURN_IF_ERROR(Change());
    return {};
  }

  // Destroys the keys and copies that were made on the way.
  Status Clean() {
    Status all;
    for (const auto object : made_) {
      if (auto destroyed = pair_.DestroyMade(session_, object); !destroyed) {
        all = std::move(destroyed);
      }
    }
    return all;
  }

  std::vector<TriedWay>& ways() { return ways_; }

 private:
  struct Opening {
    bool readable = false;
    bool wrappable = false;
    bool weaker = false;  // the flags say so
  };

  void Add(std::string name, WayOutcome outcome, std::string answer) {
    ways_.push_back({.name = std::move(name), .outcome = outcome, .answer = std::move(answer)});
  }
  void Add(std::string name, CK_RV rv, WayOutcome when_taken) {
    Add(std::move(name), OutcomeOf(rv, when_taken), CryptokiText(rv));
  }

  Status Read() {
    for (const auto& [type, name] : SecretsOf(algorithm_)) {
      ASSIGN_OR_RETURN(const auto answer, ReadSecret(session_, key_, type));
      Add("C_GetAttributeValue " + std::string(name),
          answer.out ? WayOutcome::kLetThrough : OutcomeOf(answer.rv, WayOutcome::kHeld),
          answer.rv == CKR_OK && !answer.out ? "nothing to read" : CryptokiText(answer.rv));
    }
    return {};
  }

  // A session key that wraps; CK_INVALID_HANDLE: the token makes none. `refusal` is its answer then.
  Result<CK_OBJECT_HANDLE> MakeWrappingKey(bool is_aes, CK_RV& refusal) {
    const CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    const CK_KEY_TYPE type = is_aes ? CKK_AES : CKK_DES3;
    const CK_ULONG octets = 32;
    std::vector attributes = {Attribute(CKA_CLASS, object_class), Attribute(CKA_KEY_TYPE, type),
                              Attribute(CKA_TOKEN, kFalse), Attribute(CKA_WRAP, kTrue),
                              Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel))};
    if (is_aes) {
      attributes.push_back(Attribute(CKA_VALUE_LEN, octets));
    }
    CK_MECHANISM mechanism{
        .mechanism = is_aes ? CKM_AES_KEY_GEN : CKM_DES3_KEY_GEN, .pParameter = nullptr, .ulParameterLen = 0};
    CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
    ASSIGN_OR_RETURN(refusal, session_.Ask("C_GenerateKey", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_GenerateKey(session, &mechanism, attributes.data(), attributes.size(), &made);
    }));
    if (refusal != CKR_OK) {
      return CK_OBJECT_HANDLE{CK_INVALID_HANDLE};
    }
    Remember(made);
    return made;
  }

  // Not a handle of the pair: tpm2-pkcs11 may answer with handles that other objects have.
  void Remember(CK_OBJECT_HANDLE made) {
    if (made != key_ && made != public_key_) {
      made_.push_back(made);
    }
  }

  Result<TrialAnswer> WrapWith(CK_OBJECT_HANDLE wrapping_key, CK_MECHANISM mechanism, CK_OBJECT_HANDLE object) {
    Spill spill;
    CK_ULONG size = Spill::kSize;
    ASSIGN_OR_RETURN(const auto rv, session_.Ask("C_WrapKey", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_WrapKey(session, &mechanism, wrapping_key, object, spill.data(), &size);
    }));
    return TrialAnswer{.rv = rv, .out = rv == CKR_OK && spill.HoldsAnything()};
  }

  Result<TrialAnswer> WrapWith(const Wrapping& wrapping, CK_OBJECT_HANDLE object) {
    static constexpr std::array<CK_BYTE, 16> kIv{};
    return WrapWith(wrapping.is_aes ? aes_key_ : des_key_,
                    {.mechanism = wrapping.type,
                     .pParameter = wrapping.iv_octets == 0 ? nullptr : const_cast<CK_BYTE*>(kIv.data()),
                     .ulParameterLen = wrapping.iv_octets},
                    object);
  }

  // The token has no triple DES in FIPS mode, and a TPM wraps nothing at all.
  Status Wrap() {
    CK_RV refusal = CKR_OK;
    ASSIGN_OR_RETURN(aes_key_, MakeWrappingKey(true, refusal));
    const auto aes_refusal = refusal;
    ASSIGN_OR_RETURN(des_key_, MakeWrappingKey(false, refusal));
    for (const auto& wrapping : kWrappings) {
      if ((wrapping.is_aes ? aes_key_ : des_key_) == CK_INVALID_HANDLE) {
        continue;
      }
      ASSIGN_OR_RETURN(const auto answer, WrapWith(wrapping, key_));
      if (answer.rv != CKR_MECHANISM_INVALID && answer.rv != CKR_FUNCTION_NOT_SUPPORTED) {
        wraps_ = true;
        Add("C_WrapKey " + std::string(wrapping.name), answer.rv, WayOutcome::kLetThrough);
      }
    }
    if (wraps_) {
      return {};
    }
    if (aes_key_ != CK_INVALID_HANDLE || des_key_ != CK_INVALID_HANDLE) {
      Add("C_WrapKey", WayOutcome::kHeld, "the token wraps with none of the known mechanisms");
      return {};
    }
    ASSIGN_OR_RETURN(
        const auto answer,
        WrapWith(public_key_, {.mechanism = CKM_RSA_PKCS, .pParameter = nullptr, .ulParameterLen = 0}, key_));
    wraps_ = answer.rv != CKR_FUNCTION_NOT_SUPPORTED;
    Add("C_WrapKey",
        answer.rv == CKR_OK ? WayOutcome::kLetThrough
        : wraps_            ? WayOutcome::kNotTried
                            : WayOutcome::kHeld,
        wraps_ ? "C_GenerateKey made no wrapping key: " + CryptokiText(aes_refusal) : CryptokiText(answer.rv));
    return {};
  }

  // Tries to read the secret of an object that may have become weaker.
  Result<Opening> Examine(CK_OBJECT_HANDLE object) {
    Opening found;
    for (const auto& secret : SecretsOf(algorithm_)) {
      ASSIGN_OR_RETURN(const auto answer, ReadSecret(session_, object, secret.type));
      found.readable |= answer.out;
    }
    for (const auto& wrapping : kWrappings) {
      if ((wrapping.is_aes ? aes_key_ : des_key_) != CK_INVALID_HANDLE) {
        ASSIGN_OR_RETURN(const auto answer, WrapWith(wrapping, object));
        found.wrappable |= answer.out;
      }
    }
    const auto sensitive = ReadFlag(session_, object, CKA_SENSITIVE);
    const auto extractable = ReadFlag(session_, object, CKA_EXTRACTABLE);
    const bool is_extractable = extractable && *extractable == true;
    found.weaker = (sensitive && *sensitive == false) || is_extractable;
    // A wrapping key that this trial does not have may take it out.
    found.wrappable |= is_extractable && wraps_;
    return found;
  }

  void AddExamined(std::string name, const Opening& found, const std::string& taken) {
    Add(std::move(name),
        found.readable || found.wrappable ? WayOutcome::kLetThrough
        : found.weaker                    ? WayOutcome::kFlagNotProtected
                                          : WayOutcome::kHeld,
        taken + (found.readable    ? ", its value can be read"
                 : found.wrappable ? ", it can be wrapped"
                 : found.weaker    ? ", and nothing comes out"
                                   : " without effect"));
  }

  Status Copy() {
    for (const auto& weakening : kWeakenings) {
      // A session object: it does not outlive this process.
      std::array attributes = {Attribute(CKA_TOKEN, kFalse), Attribute(weakening.type, weakening.value)};
      CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
      ASSIGN_OR_RETURN(const auto rv, session_.Ask("C_CopyObject", [&](auto& functions, CK_SESSION_HANDLE session) {
        return functions.C_CopyObject(session, key_, attributes.data(), attributes.size(), &copy);
      }));
      const auto name = "C_CopyObject " + std::string(weakening.text);
      if (rv != CKR_OK) {
        Add(name, rv, WayOutcome::kHeld);
        continue;
      }
      Remember(copy);
      ASSIGN_OR_RETURN(const auto found, Examine(copy));
      AddExamined(name, found, "copied");
    }
    return {};
  }

  Result<CK_RV> Set(CK_ATTRIBUTE attribute) {
    return session_.Ask("C_SetAttributeValue", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_SetAttributeValue(session, key_, &attribute, 1);
    });
  }

  Status Unwrap() {
    ASSIGN_OR_RETURN(auto tried, TryUnwrap(session_, algorithm_, pair_));
    ways_.insert(ways_.end(), tried.ways.begin(), tried.ways.end());
    for (const auto made : tried.made) {
      Remember(made);
    }
    return {};
  }

  // Last, because it may leave the key weaker. What can be read or wrapped then could not be before.
  Status Change() {
    for (const auto& weakening : kWeakenings) {
      ASSIGN_OR_RETURN(const auto rv, Set(Attribute(weakening.type, weakening.value)));
      const auto name = "C_SetAttributeValue " + std::string(weakening.text);
      if (rv != CKR_OK) {
        Add(name, rv, WayOutcome::kHeld);
        continue;
      }
      ASSIGN_OR_RETURN(const auto found, Examine(key_));
      AddExamined(name, found, "taken");
    }
    ASSIGN_OR_RETURN(const auto rv, Set(Attribute(CKA_DECRYPT, kTrue)));
    Add("C_SetAttributeValue CKA_DECRYPT=true", rv, WayOutcome::kFlagNotProtected);
    return {};
  }

  // Uses that the template forbids. The key stays inside, so none of them makes custody unproven.
  Status Use() {
    if (algorithm_.curve != nullptr) {
      return left_out_.contains(CKA_DERIVE) ? Status() : Derive();
    }
    if (!left_out_.contains(CKA_DECRYPT)) {
      RETURN_IF_ERROR(Begin("C_DecryptInit", &CK_FUNCTION_LIST::C_DecryptInit, &CK_FUNCTION_LIST::C_Decrypt));
    }
    if (!left_out_.contains(CKA_SIGN_RECOVER)) {
      RETURN_IF_ERROR(
          Begin("C_SignRecoverInit", &CK_FUNCTION_LIST::C_SignRecoverInit, &CK_FUNCTION_LIST::C_SignRecover));
    }
    return {};
  }

  using Init = CK_RV (*CK_FUNCTION_LIST::*)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE);
  using Finish = CK_RV (*CK_FUNCTION_LIST::*)(CK_SESSION_HANDLE, CK_BYTE*, CK_ULONG, CK_BYTE*, CK_ULONG*);

  // Ends what it began, as far as the token lets it: a session has one operation at a time.
  Status Begin(const char* function, Init init, Finish finish) {
    CK_MECHANISM mechanism{.mechanism = CKM_RSA_PKCS, .pParameter = nullptr, .ulParameterLen = 0};
    ASSIGN_OR_RETURN(const auto rv, uses_.Ask(function, [&](auto& functions, CK_SESSION_HANDLE session) {
      return (functions.*init)(session, &mechanism, key_);
    }));
    Add(function, rv, WayOutcome::kFlagNotProtected);
    if (rv == CKR_OK) {
      Spill spill;
      CK_ULONG size = Spill::kSize;
      Bytes input(static_cast<std::size_t>(algorithm_.default_key_bits()) / 8);
      RETURN_IF_ERROR(uses_.Ask(function, [&](auto& functions, CK_SESSION_HANDLE session) {
        return (functions.*finish)(session, input.data(), input.size(), spill.data(), &size);
      }));
    }
    return {};
  }

  // ECDH with the key's own point.
  Status Derive() {
    ASSIGN_OR_RETURN(auto point, session_.Read(public_key_, CKA_EC_POINT));
    constexpr std::size_t kHeader = 2;  // of the OCTET STRING
    if (!point || point->size() <= kHeader) {
      return {};
    }
    const CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    const CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    const CK_ULONG octets = 16;
    std::array attributes = {Attribute(CKA_CLASS, object_class), Attribute(CKA_KEY_TYPE, type),
                             Attribute(CKA_TOKEN, kFalse), Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel)),
                             Attribute(CKA_VALUE_LEN, octets)};
    CK_ECDH1_DERIVE_PARAMS parameters{.kdf = CKD_NULL,
                                      .ulSharedDataLen = 0,
                                      .pSharedData = nullptr,
                                      .ulPublicDataLen = point->size(),
                                      .pPublicData = point->data()};
    CK_MECHANISM mechanism{
        .mechanism = CKM_ECDH1_DERIVE, .pParameter = &parameters, .ulParameterLen = sizeof parameters};
    CK_OBJECT_HANDLE derived = CK_INVALID_HANDLE;
    ASSIGN_OR_RETURN(const auto rv, session_.Ask("C_DeriveKey", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_DeriveKey(session, &mechanism, key_, attributes.data(), attributes.size(), &derived);
    }));
    if (rv == CKR_OK) {
      Remember(derived);
    }
    Add("C_DeriveKey", rv, WayOutcome::kFlagNotProtected);
    return {};
  }

  Session& session_;
  Session& uses_;
  const Algorithm& algorithm_;
  const ThrowAwayPair& pair_;
  const AttributeTypes& left_out_;
  const CK_OBJECT_HANDLE key_;
  const CK_OBJECT_HANDLE public_key_;
  CK_OBJECT_HANDLE aes_key_ = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE des_key_ = CK_INVALID_HANDLE;
  bool wraps_ = false;  // the token wraps keys, or may
  std::vector<CK_OBJECT_HANDLE> made_;
  std::vector<TriedWay> ways_;
};

}  // namespace

Result<TriedCustody> TryCustody(Session& session, Session& uses, const Algorithm& algorithm,
                                const AttributeTypes& left_out) {
  ASSIGN_OR_RETURN(auto pair, ThrowAwayPair::Make(session, algorithm, left_out));
  Trial trial(session, uses, algorithm, pair);
  auto ran = trial.Run();
  if (ran) {
    ran = pair.Check(session);  // a token that ceased to answer must not count as one that refuses
  }
  const auto cleaned = trial.Clean();
  const auto destroyed = pair.Destroy(session);
  RETURN_IF_ERROR(ran);
  TriedCustody tried{.trial = {.ways = std::move(trial.ways()), .left_behind = {}},
                     .left_out = std::move(pair.left_out)};
  for (const auto* failed : {&cleaned, &destroyed}) {
    tried.trial.left_behind += *failed ? "" : failed->error().ToString();
  }
  return tried;
}

}  // namespace assertion::p11
