#include "keys/key_ring.h"

#include <algorithm>
#include <array>
#include <utility>

#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "x509/certificate.h"

namespace assertion {
namespace {

Status CheckCustody(const TokenKey& key) {
  std::string wrong;
  for (const auto& attribute : key.attributes) {
    if (!attribute.ok()) {
      const char* shown = !attribute.value ? "not shown" : *attribute.value ? "true" : "false";
      wrong += (wrong.empty() ? "" : ", ") + std::string(attribute.name) + " is " + shown;
    }
  }
  if (!wrong.empty()) {
    return Fail(Code::kKeyForbidden,
                "the key of client '" + key.label + "' (CKA_ID " + Hex(key.id) + ") must not sign: " + wrong);
  }
  return {};
}

// A signature over fresh random octets, checked with the public key: the handle means the key that it seems to mean.
Status Prove(Token& token, const SigningKey& key, const Random& random) {
  std::array<std::uint8_t, 32> nonce{};
  if (!random(nonce)) {
    return Fail(Code::kInternal, "the random number generator failed");
  }
  const auto input = "assertiond proof " + Hex(nonce);
  const auto session = token.OpenSigningSession();
  if (!session) {
    return std::unexpected(session.error());
  }
  const auto signature = (*session)->Sign(key.handle, *key.algorithm, input);
  if (!signature || !key.verifier.Verify(input, *signature)) {
    return Fail(Code::kKeyUnproven,
                "the key of client '" + key.client_id + "' (kid " + key.kid +
                    ") did not make a signature that its public key verifies",
                signature ? "verification failed" : signature.error().ToString());
  }
  return {};
}

// `key` as one that may sign for the client, or why not.
Result<SigningKeyPtr> Admit(Token& token, const Client& client, const TokenKey& key, const Random& random) {
  if (const auto fit = CheckCustody(key); !fit) {
    return std::unexpected(fit.error());
  }
  auto verifier = x509::Verifier::New(key.public_key, *client.algorithm);
  if (!verifier) {
    return Fail(Code::kKeyUnproven, verifier.error().message, verifier.error().detail);
  }
  const auto kid = jws::JwkThumbprint(key.public_key);
  auto admitted = std::make_shared<SigningKey>(SigningKey{.client_id = client.client_id,
                                                          .algorithm = client.algorithm,
                                                          .handle = key.private_key,
                                                          .id = key.id,
                                                          .public_key = key.public_key,
                                                          .kid = kid,
                                                          .encoded_header = jws::EncodedHeader(*client.algorithm, kid),
                                                          .chain = {},
                                                          .verifier = std::move(*verifier)});
  if (key.certificate) {
    auto certificate = x509::ParseCertificate(*key.certificate);
    if (!certificate || certificate->public_key != key.public_key) {
      return Fail(Code::kKeyUnproven,
                  "the certificate beside the key of client '" + client.client_id + "' (CKA_ID " + Hex(key.id) +
                      ") does not belong to that key",
                  certificate ? "" : certificate.error().ToString());
    }
    admitted->chain.push_back(std::move(*certificate));
  }
  if (const auto proven = Prove(token, *admitted, random); !proven) {
    return std::unexpected(proven.error());
  }
  return admitted;
}

}  // namespace

Result<std::unique_ptr<KeyRing>> KeyRing::Load(Token& token, const x509::Certifier& certifier,
                                               std::vector<Client> clients, Clock clock, Random random) {
  std::unique_ptr<KeyRing> ring(new KeyRing(token, certifier, std::move(clients), std::move(clock), std::move(random)));
  for (const auto& client : ring->clients_) {
    auto key = ring->ReadClient(client);
    if (!key) {
      return std::unexpected(key.error());
    }
    if (*key) {
      ring->Adopt(std::move(*key));
    }
  }
  return ring;
}

// Null when the token holds no key for the client.
Result<SigningKeyPtr> KeyRing::ReadClient(const Client& client) const {
  const auto keys = token_.FindKeys(client.client_id);
  if (!keys) {
    return std::unexpected(keys.error());
  }
  if (keys->size() > 1) {
    return Fail(Code::kKeyAmbiguous, "the token holds " + std::to_string(keys->size()) + " keys labelled '" +
                                         client.client_id + "'; remove all but one");
  }
  return keys->empty() ? SigningKeyPtr() : Admit(token_, client, keys->front(), random_);
}

void KeyRing::Adopt(SigningKeyPtr key) {
  auto changed = std::make_shared<KeySet>(*keys_.load());
  changed->insert_or_assign(key->client_id, std::move(key));
  keys_.store(std::move(changed));
}

Result<SigningKeyPtr> KeyRing::Find(std::string_view client_id) const {
  const auto keys = keys_.load();
  const auto found = keys->find(client_id);
  if (found == keys->end()) {
    return Fail(Code::kFailedPrecondition, "client '" + std::string(client_id) +
                                               "' has no key on the token yet: assertionctl key generate --client-id " +
                                               std::string(client_id));
  }
  return found->second;
}

Result<SigningKeyPtr> KeyRing::Generate(const GenerateKeyRequest& request) {
  const auto client = std::ranges::find(clients_, request.client_id, &Client::client_id);
  if (client == clients_.end()) {
    return Fail(Code::kNotFound, "client_id: no such client is configured");
  }
  const std::lock_guard lock(administration_);
  auto existing = ReadClient(*client);
  if (!existing) {
    return existing;
  }
  if (*existing) {
    const auto kid = (*existing)->kid;
    Adopt(std::move(*existing));  // another process may have made it
    return Fail(Code::kAlreadyExists,
                "client '" + request.client_id + "' has a key already (kid " + kid + "); it is never overwritten");
  }
  return Create(*client, request);
}

Result<SigningKeyPtr> KeyRing::Create(const Client& client, const GenerateKeyRequest& request) {
  Bytes id(16);
  if (!random_(id)) {
    return Fail(Code::kInternal, "the random number generator failed");
  }
  const auto key = token_.GenerateKeyPair(
      {.label = client.client_id, .id = id, .algorithm = client.algorithm, .bits = request.bits});
  if (!key) {
    return std::unexpected(key.error());
  }
  const auto certify = [&]() -> Result<SigningKeyPtr> {
    const auto uri = token_.PrivateKeyUri(id);
    if (!uri) {
      return std::unexpected(uri.error());
    }
    const auto now = clock_();
    const auto certificate = certifier_.SelfSign({.private_key_uri = *uri,
                                                  .public_key = key->public_key,
                                                  .algorithm = client.algorithm,
                                                  .common_name = request.common_name,
                                                  .not_before = now,
                                                  .not_after = now + request.certificate_validity});
    if (!certificate) {
      return std::unexpected(certificate.error());
    }
    if (auto stored = token_.StoreCertificate(client.client_id, id, certificate->subject, certificate->certificate.der);
        !stored) {
      return std::unexpected(stored.error());
    }
    // Read anew: what will be found after a restart is what is used now. Two keys: another process made one meanwhile.
    auto made = ReadClient(client);
    if (made && (!*made || (*made)->id != id)) {
      return Fail(Code::kAborted, "another key for this client appeared meanwhile");
    }
    return made;
  };
  auto made = certify();
  if (!made) {
    if (const auto undone = token_.DestroyKey(id); !undone) {
      made.error().detail +=
          "; the new key pair with CKA_ID " + Hex(id) + " is left on the token: " + undone.error().ToString();
    }
    return made;
  }
  Adopt(*made);
  return made;
}

}  // namespace assertion
