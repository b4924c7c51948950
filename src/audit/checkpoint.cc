#include "audit/checkpoint.h"

#include <utility>

#include "assertion/client.h"
#include "jws/compact.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"
#include "keys/own_key.h"

namespace assertion::audit {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kType = "assertiond-checkpoint+json";

const Algorithm& KeyAlgorithm() { return kAlgorithms.front(); }

std::string TextOf(const auto& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->template get<std::string>() : "";
}

}  // namespace

Result<Key> Key::FindOrGenerate(Token& token, const Random& random) {
  ASSIGN_OR_RETURN(auto key, FindOrGenerateOwnKey(token, kAuditKeyLabel, random));
  ASSIGN_OR_RETURN(auto verifier, x509::Verifier::New(key.public_key, KeyAlgorithm()));
  const auto kid = jws::JwkThumbprint(key.public_key);
  return Key(
      std::make_shared<const SigningKey>(SigningKey{.client_id = {},
                                                    .algorithm = &KeyAlgorithm(),
                                                    .id = key.id,
                                                    .public_key = key.public_key,
                                                    .kid = kid,
                                                    .encoded_header = jws::EncodedHeader(KeyAlgorithm(), kid, kType),
                                                    .chain = {},
                                                    .verifier = std::move(verifier)}));
}

Signer Key::ToSigner(SigningQueue& queue) const {
  return {.sign =
              [&queue, key = key_](std::string_view payload, auto done) {
                queue.SignNow(key, SigningInput(jws::SigningInput(key->encoded_header, payload)),
                              [done = std::move(done)](Result<Signed> made) mutable {
                                done(made ? Result<std::string>(jws::Compact(std::move(made->input), made->signature))
                                          : std::unexpected(made.error()));
                              });
              },
          .jwk = jws::Jwk(key_->public_key, KeyAlgorithm(), {}).dump()};
}

std::string CheckpointPayload(const Head& covered, std::chrono::system_clock::time_point now) {
  return "{" + Body(ordered_json{{"covers", covered.sequence}, {"hash", covered.hash}}, kCheckpoint, now);
}

std::string CheckpointBody(const std::string& payload, std::string_view jws) {
  return payload.substr(1, payload.size() - 2).append(R"(,"jws":")").append(jws).append("\"}");
}

Result<PublicKeys> ToPublicKeys(const PublicKey& key) {
  ASSIGN_OR_RETURN(auto verifier, x509::Verifier::New(key, KeyAlgorithm()));
  return PublicKeys{{jws::JwkThumbprint(key), std::make_shared<const x509::Verifier>(std::move(verifier))}};
}

Result<PublicKeys> ParsePublicKeys(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Fail(Code::kInvalidArgument, "not a JWK or JWK Set (RFC 7517)");
  }
  const auto list = json.contains("keys") ? json["keys"] : nlohmann::json::array({json});
  PublicKeys keys;
  for (const auto& jwk : list) {
    const auto key = jws::ParseJwk(jwk);
    ASSIGN_OR_RETURN(auto one, key ? ToPublicKeys(*key) : std::unexpected(key.error()));
    keys.merge(one);
  }
  if (keys.empty()) {
    return Fail(Code::kInvalidArgument, "the JWK Set holds no key");
  }
  return keys;
}

Result<Head> CheckCheckpoint(std::string_view text, const Line& line, const PublicKeys& keys) {
  const auto jws = TextOf(line.members, "jws");
  const auto parsed = jws::ParseCompact(jws);
  if (!parsed || TextOf(parsed->header, "typ") != kType || TextOf(parsed->header, "alg") != KeyAlgorithm().name) {
    return Fail(Code::kInvalidArgument, "its jws is not that of a checkpoint");
  }
  const auto kid = TextOf(parsed->header, "kid");
  const auto key = keys.find(kid);
  if (key == keys.end()) {
    return Fail(Code::kNotFound, "it is signed by a key that was not given, kid " + kid.substr(0, 64));
  }
  if (!key->second->Verify(parsed->signing_input, parsed->signature)) {
    return Fail(Code::kInvalidArgument, "its signature is bad");
  }
  const auto covers = parsed->claims.find("covers");
  if (covers == parsed->claims.end() || !covers->is_number_unsigned() || *covers >= line.sequence) {
    return Fail(Code::kInvalidArgument, "it does not say which line before it it covers, as of version 2 of the log");
  }
  // What was signed, with its JWS, must be the line: no member beside it, none written otherwise.
  Head before{.sequence = line.sequence - 1, .hash = line.prev};
  if (Chain(before, CheckpointBody(parsed->claims.dump(), jws)) != text) {
    return Fail(Code::kInvalidArgument, "it says something else than what was signed");
  }
  return Head{.sequence = covers->get<std::uint64_t>(), .hash = TextOf(parsed->claims, "hash")};
}

}  // namespace assertion::audit
