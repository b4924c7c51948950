#include "p11/unwrap_trial.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "assertion/client.h"
#include "p11/attribute.h"
#include "p11/custody.h"
#include "p11/objects.h"
#include "p11/public_half.h"
#include "p11/rsa_encryption.h"
#include "p11/way_out.h"

namespace assertion::p11 {
namespace {

struct Transport {
  CK_MECHANISM_TYPE type;
  std::size_t iv_octets;
};
constexpr std::array kTransports = {Transport{CKM_AES_KEY_WRAP_PAD, 0}, Transport{CKM_AES_CBC_PAD, 16}};

// What only the token may say, of keys that it generated.
constexpr std::array<CK_ATTRIBUTE_TYPE, 3> kClaims = {CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_LOCAL};

std::string WayName(std::optional<CK_ATTRIBUTE_TYPE> claim) {
  return claim ? "C_UnwrapKey " + std::string(CustodyAttributeName(*claim)) + "=true" : "C_UnwrapKey";
}

class UnwrapTrial {
 public:
  UnwrapTrial(Session& session, const Algorithm& algorithm, const ThrowAwayPair& pair)
      : session_(session), algorithm_(algorithm), pair_(pair) {}

  Status Run() {
    if (algorithm_.curve == nullptr && !pair_.left_out.contains(CKA_UNWRAP)) {
      RETURN_IF_ERROR(UnwrapWithThePair());
    }
    ASSIGN_OR_RETURN(const bool wrapped, WrapOutsideKey());
    if (!wrapped) {
      return {};
    }
    RETURN_IF_ERROR(BringIn(std::nullopt));
    for (const auto claim : kClaims) {
      RETURN_IF_ERROR(BringIn(claim));
    }
    return {};
  }

  TriedUnwrap& tried() { return tried_; }

 private:
  void Add(std::string name, WayOutcome outcome, std::string answer) {
    tried_.ways.push_back({.name = std::move(name), .outcome = outcome, .answer = std::move(answer)});
  }

  Result<CK_RV> Unwrap(CK_OBJECT_HANDLE unwrapping_key, CK_MECHANISM mechanism, Bytes& wrapped,
                       std::span<CK_ATTRIBUTE> attributes, CK_OBJECT_HANDLE& made) {
    ASSIGN_OR_RETURN(const auto rv, session_.Ask("C_UnwrapKey", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_UnwrapKey(session, &mechanism, unwrapping_key, wrapped.data(), wrapped.size(),
                                   attributes.data(), attributes.size(), &made);
    }));
    if (rv == CKR_OK) {
      Keep(made);
    }
    return rv;
  }

  // Not a handle of the pair: tpm2-pkcs11 may answer with handles that other objects have.
  void Keep(CK_OBJECT_HANDLE made) {
    if (made != pair_.private_key && made != pair_.public_key) {
      tried_.made.push_back(made);
    }
  }

  // An AES key, encrypted properly for the pair: only CKA_UNWRAP=false stands against it.
  Status UnwrapWithThePair() {
    ASSIGN_OR_RETURN(const auto half, ReadPublicKey(session_, pair_.public_key));
    const auto* const rsa = half ? std::get_if<RsaPublicKey>(&*half) : nullptr;
    if (rsa == nullptr) {
      return {};
    }
    const CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    const CK_KEY_TYPE type = CKK_AES;
    std::array attributes = {Attribute(CKA_CLASS, object_class), Attribute(CKA_KEY_TYPE, type),
                             Attribute(CKA_TOKEN, kFalse), Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel))};
    static constexpr std::array<std::uint8_t, 32> kAesKey = {1};
    auto oaep = OaepParameters(kOaepSha1);
    const std::array<std::pair<const Oaep*, CK_MECHANISM>, 2> ways = {{
        {nullptr, {.mechanism = CKM_RSA_PKCS, .pParameter = nullptr, .ulParameterLen = 0}},
        {&kOaepSha1, {.mechanism = CKM_RSA_PKCS_OAEP, .pParameter = &oaep, .ulParameterLen = sizeof oaep}},
    }};
    for (const auto& [padding, mechanism] : ways) {
      ASSIGN_OR_RETURN(auto wrapped, EncryptRsa(*rsa, padding, kAesKey));
      CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
      ASSIGN_OR_RETURN(const auto rv, Unwrap(pair_.private_key, mechanism, wrapped, attributes, made));
      Add(padding == nullptr ? "C_UnwrapKey by the key, CKM_RSA_PKCS" : "C_UnwrapKey by the key, CKM_RSA_PKCS_OAEP",
          OutcomeOf(rv, WayOutcome::kFlagNotProtected), CryptokiText(rv));
    }
    return {};
  }

  Result<CK_OBJECT_HANDLE> MakeTransportKey() {
    const CK_ULONG octets = 32;
    std::array attributes = {Attribute(CKA_TOKEN, kFalse), Attribute(CKA_WRAP, kTrue), Attribute(CKA_UNWRAP, kTrue),
                             Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel)), Attribute(CKA_VALUE_LEN, octets)};
    CK_MECHANISM mechanism{.mechanism = CKM_AES_KEY_GEN, .pParameter = nullptr, .ulParameterLen = 0};
    CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
    ASSIGN_OR_RETURN(const auto rv, session_.Ask("C_GenerateKey", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_GenerateKey(session, &mechanism, attributes.data(), attributes.size(), &made);
    }));
    if (rv != CKR_OK) {
      return CK_OBJECT_HANDLE{CK_INVALID_HANDLE};
    }
    Keep(made);
    return made;
  }

  // A private key that may leave; CK_INVALID_HANDLE: the token makes none.
  Result<CK_OBJECT_HANDLE> MakeExtractableKey() {
    const CK_ULONG bits = 2048;
    static constexpr std::array<std::uint8_t, 3> kExponent = {1, 0, 1};
    std::vector public_template = {Attribute(CKA_TOKEN, kFalse), Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel))};
    if (const auto* curve = algorithm_.curve) {
      public_template.push_back(Attribute(CKA_EC_PARAMS, AsBytes(curve->ec_params)));
    } else {
      public_template.push_back(Attribute(CKA_MODULUS_BITS, bits));
      public_template.push_back(Attribute(CKA_PUBLIC_EXPONENT, BytesView(kExponent)));
    }
    std::array private_template = {Attribute(CKA_TOKEN, kFalse),      Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel)),
                                   Attribute(CKA_PRIVATE, kTrue),     Attribute(CKA_SENSITIVE, kTrue),
                                   Attribute(CKA_EXTRACTABLE, kTrue), Attribute(CKA_SIGN, kTrue)};
    CK_MECHANISM mechanism{
        .mechanism = algorithm_.key_type().pkcs11_pair_generation, .pParameter = nullptr, .ulParameterLen = 0};
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE private_key = CK_INVALID_HANDLE;
    ASSIGN_OR_RETURN(const auto rv, session_.Ask("C_GenerateKeyPair", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_GenerateKeyPair(session, &mechanism, public_template.data(), public_template.size(),
                                         private_template.data(), private_template.size(), &public_key, &private_key);
    }));
    if (rv != CKR_OK) {
      return CK_OBJECT_HANDLE{CK_INVALID_HANDLE};
    }
    Keep(public_key);
    Keep(private_key);
    return private_key;
  }

  CK_MECHANISM Mechanism(const Transport& transport) {
    return {.mechanism = transport.type,
            .pParameter = transport.iv_octets == 0 ? nullptr : iv_.data(),
            .ulParameterLen = transport.iv_octets};
  }

  Result<CK_RV> Wrap(const Transport& transport, CK_OBJECT_HANDLE key, Bytes& wrapped) {
    CK_ULONG size = Spill::kSize;
    wrapped.resize(size);
    auto mechanism = Mechanism(transport);
    ASSIGN_OR_RETURN(const auto rv, session_.Ask("C_WrapKey", [&](auto& functions, CK_SESSION_HANDLE session) {
      return functions.C_WrapKey(session, &mechanism, transport_key_, key, wrapped.data(), &size);
    }));
    wrapped.resize(rv == CKR_OK && size <= wrapped.size() ? size : 0);
    return rv;
  }

  // True: `wrapped_` holds a key that was outside, and `transport_` says how.
  Result<bool> WrapOutsideKey() {
    ASSIGN_OR_RETURN(transport_key_, MakeTransportKey());
    if (transport_key_ == CK_INVALID_HANDLE) {
      return false;
    }
    ASSIGN_OR_RETURN(const auto outside, MakeExtractableKey());
    if (outside == CK_INVALID_HANDLE) {
      return false;
    }
    for (const auto& transport : kTransports) {
      RETURN_IF_ERROR(Wrap(transport, outside, wrapped_));
      if (!wrapped_.empty()) {
        transport_ = &transport;
        return true;
      }
    }
    return false;
  }

  // Unwraps it with a client key's custody, and with `claim` if there is one.
  Status BringIn(std::optional<CK_ATTRIBUTE_TYPE> claim) {
    const CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
    const CK_KEY_TYPE type = algorithm_.key_type().pkcs11_key_type;
    std::vector attributes = {Attribute(CKA_CLASS, object_class), Attribute(CKA_KEY_TYPE, type),
                              Attribute(CKA_TOKEN, kFalse), Attribute(CKA_LABEL, AsBytes(kTrialKeyLabel))};
    const auto custody = CustodyTemplate(pair_.left_out);
    attributes.insert(attributes.end(), custody.begin(), custody.end());
    if (claim) {
      attributes.push_back(Attribute(*claim, kTrue));
    }
    CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
    ASSIGN_OR_RETURN(const auto rv, Unwrap(transport_key_, Mechanism(*transport_), wrapped_, attributes, made));
    if (rv != CKR_OK) {
      Add(WayName(claim), OutcomeOf(rv, WayOutcome::kHeld), CryptokiText(rv));
      return {};
    }
    return Judge(WayName(claim), made);
  }

  Status Judge(std::string name, CK_OBJECT_HANDLE made) {
    for (const auto claim : kClaims) {
      ASSIGN_OR_RETURN(const auto shown, ReadFlag(session_, made, claim));
      if (shown == true) {
        Add(std::move(name), WayOutcome::kFlagNotProtected,
            "a key that was outside shows " + std::string(CustodyAttributeName(claim)) + "=true");
        return {};
      }
    }
    ASSIGN_OR_RETURN(const auto sensitive, ReadFlag(session_, made, CKA_SENSITIVE));
    ASSIGN_OR_RETURN(const auto extractable, ReadFlag(session_, made, CKA_EXTRACTABLE));
    // An import reads these back and refuses the key, so it is not let out unnoticed.
    if (sensitive != true || extractable != false) {
      Add(std::move(name), WayOutcome::kFlagNotProtected,
          std::string("unwrapped without ") + (sensitive != true ? "CKA_SENSITIVE=true" : "CKA_EXTRACTABLE=false"));
      return {};
    }
    bool out = false;
    for (const auto& secret : SecretsOf(algorithm_)) {
      ASSIGN_OR_RETURN(const auto answer, ReadSecret(session_, made, secret.type));
      out |= answer.out;
    }
    Bytes again;
    RETURN_IF_ERROR(Wrap(*transport_, made, again));
    out |= !again.empty();
    Add(std::move(name), out ? WayOutcome::kLetThrough : WayOutcome::kHeld,
        out ? "unwrapped as asked, and it comes out" : "unwrapped as asked");
    return {};
  }

  Session& session_;
  const Algorithm& algorithm_;
  const ThrowAwayPair& pair_;
  TriedUnwrap tried_;
  CK_OBJECT_HANDLE transport_key_ = CK_INVALID_HANDLE;
  const Transport* transport_ = nullptr;
  std::array<std::uint8_t, 16> iv_{};  // the plain text is a key that nobody uses
  Bytes wrapped_;
};

}  // namespace

Result<TriedUnwrap> TryUnwrap(Session& session, const Algorithm& algorithm, const ThrowAwayPair& pair) {
  UnwrapTrial trial(session, algorithm, pair);
  const auto ran = trial.Run();
  if (!ran) {
    for (const auto made : trial.tried().made) {
      static_cast<void>(pair.DestroyMade(session, made));  // session objects: they end with the session in any case
    }
    return std::unexpected(ran.error());
  }
  return std::move(trial.tried());
}

}  // namespace assertion::p11
