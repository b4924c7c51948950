#include "keys/seal.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "assertion/client.h"
#include "jws/base64url.h"
#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "keys/own_key.h"

namespace assertion {
namespace {

constexpr std::chrono::minutes kNextLook{1};  // for a kid that was not there
constexpr std::size_t kMostUnknown = 64;

const Algorithm& SealAlgorithm() { return kAlgorithms.front(); }

std::unexpected<Error> NotSealed(const std::string& reason) { return Fail(Code::kLedgerUnusable, reason); }

Result<Bytes> SignWith(Token& token, const Bytes& id, std::string_view input) {
  const auto session = token.OpenSigningSession();
  return session ? (*session)->Sign(id, SealAlgorithm(), input) : std::unexpected(session.error());
}

std::string MemberText(const nlohmann::ordered_json& object, const char* name) {
  constexpr std::size_t kLongest = 64;
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>().substr(0, kLongest) : "";
}

}  // namespace

// Finds the keys. One that was found stays known: a token may show nothing for a while.
Status Seal::Look() {
  for (const auto label : {kLedgerKeyLabel, kTakeoverKeyLabel}) {
    if (auto taken = Take(label); !taken) {
      return taken;
    }
  }
  std::ranges::sort(keys_, {}, [](const auto& key) { return std::tie(key.label, key.id); });
  looked_ = true;
  return {};
}

// Adds the keys of a label that are new. Each has proven itself.
Status Seal::Take(std::string_view label) {
  const auto found = FindOwnKeys(token_, label);
  if (!found) {
    return std::unexpected(found.error());
  }
  for (const auto& key : *found) {
    const auto kid = jws::JwkThumbprint(key.public_key);
    if (std::ranges::find(keys_, kid, &Key::kid) != keys_.end()) {
      continue;
    }
    if (auto verifier = x509::Verifier::New(key.public_key, SealAlgorithm()); verifier) {
      keys_.push_back({.label = std::string(label), .id = key.id, .kid = kid, .verifier = std::move(*verifier)});
    }
  }
  settled_ = settled_ || (label == kLedgerKeyLabel && !found->empty());
  return {};
}

Status Seal::Make(std::string_view label) {
  const auto made = FindOrGenerateOwnKey(token_, label, random_);
  return made ? Look() : std::unexpected(made.error());
}

Result<bool> Seal::IsSettled() {
  const MutexLock lock(mutex_);
  if (!settled_) {
    RETURN_IF_ERROR(Look());
  }
  return settled_;
}

Status Seal::BeginTakeover() {
  const MutexLock lock(mutex_);
  taking_over_ = true;
  return Make(kTakeoverKeyLabel);
}

Status Seal::Settle() {
  const MutexLock lock(mutex_);
  taking_over_ = false;
  return SigningKey() == nullptr ? Make(kLedgerKeyLabel) : Status();
}

const Seal::Key* Seal::SigningKey() const {
  const auto label = taking_over_ ? kTakeoverKeyLabel : kLedgerKeyLabel;
  const auto found = std::ranges::find(keys_, label, &Key::label);
  return found == keys_.end() ? nullptr : &*found;
}

Result<std::string> Seal::Sign(std::string_view typ, std::string_view payload) {
  const MutexLock lock(mutex_);
  if (SigningKey() == nullptr) {
    RETURN_IF_ERROR(Make(taking_over_ ? kTakeoverKeyLabel : kLedgerKeyLabel));
  }
  const auto* key = SigningKey();
  if (key == nullptr) {
    return Fail(Code::kUnavailable, "the HSM is not available; try again", "the ledger key did not prove itself");
  }
  auto input = jws::SigningInput(jws::EncodedHeader(SealAlgorithm(), key->kid, typ), payload);
  ASSIGN_OR_RETURN(const auto signature, SignWith(token_, key->id, input));
  if (!key->verifier.Verify(input, signature)) {
    return Fail(Code::kUnavailable, "the HSM is not available; try again", "C_Sign: the seal does not verify");
  }
  return jws::Compact(std::move(input), signature);
}

// The header is compared, not obeyed: alg, kid and typ are ours or the text is not.
const Seal::Key* Seal::KeyOf(std::string_view typ, std::string_view header) const {
  const auto found = std::ranges::find_if(
      keys_, [&](const auto& key) { return jws::EncodedHeader(SealAlgorithm(), key.kid, typ) == header; });
  return found == keys_.end() ? nullptr : &*found;
}

// Another server may have made a key since this one looked. A kid that was asked for is not asked for at each read.
Result<bool> Seal::MayBeNew(std::string_view kid) {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(unknown_, [&](const auto& entry) { return entry.second + kNextLook < now; });
  if (looked_ && (unknown_.contains(kid) || unknown_.size() >= kMostUnknown)) {
    return false;
  }
  const bool again = looked_;
  RETURN_IF_ERROR(Look());
  if (again) {
    unknown_.emplace(kid, now);
  }
  return true;
}

Result<std::string> Seal::Open(std::string_view typ, std::string_view jws) {
  const auto first = jws.find('.');
  const auto last = jws.rfind('.');
  if (first == std::string_view::npos || first == last || jws.find('.', first + 1) != last) {
    return NotSealed("it is not signed");
  }
  const auto header = jws.substr(0, first);
  const MutexLock lock(mutex_);
  const auto* key = KeyOf(typ, header);
  if (key == nullptr) {
    const auto parsed = jws::ParseCompact(jws);
    if (!parsed) {
      return NotSealed(parsed.error().message);
    }
    if (const auto named = MemberText(parsed->header, "typ"); named != typ) {
      return NotSealed("its typ is '" + named + "', not " + std::string(typ));
    }
    const auto kid = MemberText(parsed->header, "kid");
    RETURN_IF_ERROR(MayBeNew(kid));
    key = KeyOf(typ, header);
    if (key == nullptr) {
      return NotSealed(std::ranges::find(keys_, kid, &Key::kid) == keys_.end()
                           ? "it is signed by a key that is not the token's, kid '" + kid + "'"
                           : "its header is not as assertiond writes it");
    }
  }
  const auto signature = jws::Base64UrlDecode(jws.substr(last + 1));
  if (!signature || !key->verifier.Verify(jws.substr(0, last), *signature)) {
    return NotSealed("its signature is bad");
  }
  const auto payload = jws::Base64UrlDecode(jws.substr(first + 1, last - first - 1));
  return payload ? Result<std::string>(std::string(payload->begin(), payload->end()))
                 : NotSealed("its payload is " + payload.error().message);
}

}  // namespace assertion
