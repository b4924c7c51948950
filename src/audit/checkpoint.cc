#include "audit/checkpoint.h"

#include <utility>

#include "assertion/algorithm.h"
#include "jws/compact.h"
#include "jws/foreign_json.h"
#include "jws/jwk.h"
#include "jws/thumbprint.h"

namespace assertion::audit {
namespace {

using nlohmann::ordered_json;

const Algorithm& KeyAlgorithm() { return kAlgorithms.front(); }

std::string TextOf(const auto& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->template get<std::string>() : "";
}

}  // namespace

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
  const auto json = jws::ParseForeign(text);
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

Result<Checkpoint> CheckCheckpoint(std::string_view text, const Line& line, const PublicKeys& keys) {
  const auto jws = TextOf(line.members, "jws");
  const auto parsed = jws::ParseCompact(jws);
  if (!parsed || TextOf(parsed->header, "typ") != kCheckpointType ||
      TextOf(parsed->header, "alg") != KeyAlgorithm().name) {
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
  // The signed payload with its JWS must give the line again: no other member, none written differently.
  Head before{.sequence = line.sequence - 1, .hash = line.prev};
  if (Chain(before, CheckpointBody(parsed->claims.dump(), jws)) != text) {
    return Fail(Code::kInvalidArgument, "it says something else than what was signed");
  }
  return Checkpoint{.covered = {.sequence = covers->get<std::uint64_t>(), .hash = TextOf(parsed->claims, "hash")},
                    .kid = kid};
}

}  // namespace assertion::audit
