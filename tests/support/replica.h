#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "keys/key_custodian.h"
#include "keys/key_ring.h"
#include "keys/token_ledger.h"
#include "signing/hsm_group.h"
#include "x509/certifier.h"
#include "x509/openssl.h"

namespace assertion {

using x509::RandomOctets;

inline Client Named(const std::string& client_id, Binding binding = Binding::kCertificate) {
  Client client;
  client.client_id = client_id;
  client.audiences = {"https://is.example.com/oauth2/token"};
  client.binding = binding;
  return client;
}

// The key management of one assertiond over a token: ledger, ring and custodian. The test moves the clock `now`.
class Replica {
 public:
  Replica(Token& token, const x509::Certifier& certifier, std::vector<Client> clients, const Time& now,
          const std::string& holder = "replica", const KeyRing* originals = nullptr)
      : token_(token),
        ledger_(*TokenLedger::Open(
            token, holder, [&now] { return now; }, RandomOctets)),
        ring_(*KeyRing::Load(
            token, *ledger_, std::move(clients), [&now] { return now; }, RandomOctets, originals)),
        custodian_(token, *ledger_, certifier, *ring_, RandomOctets) {}

  TokenLedger& ledger() { return *ledger_; }
  KeyRing& ring() { return *ring_; }
  KeyCustodian& custodian() { return custodian_; }
  Hsm With(SigningQueue& queue, const std::string& name = "test") {
    return {.name = name, .token = token_, .keys = *ring_, .queue = queue};
  }

  std::int64_t VersionOf(const std::string& client_id) const { return ring_->Snapshot()->at(client_id).version; }

  ChangeRequest Change(const std::string& client_id, bool forced = false) const {
    return {.client_id = client_id,
            .expected_version = VersionOf(client_id),
            .request_id = {},
            .digest = {},
            .forced = forced};
  }

  static NewKeyRequest NewKey() {
    return {.bits = 2048,
            .common_name = "test",
            .certificate_validity = std::chrono::days(30),
            .limits = {.per_client = 64, .generations_per_hour = 1000, .client_generations_per_hour = 1000}};
  }

  // Generates a key for the client and returns its kid. The first key of a client signs at once.
  std::string Generate(const std::string& client_id) {
    const auto kid = custodian_.Generate(Change(client_id), NewKey());
    EXPECT_TRUE(kid) << kid.error().ToString();
    return kid.value_or("");
  }

  KeyRecord Record(const std::string& client_id, const std::string& kid) const {
    const auto entry = ring_->Find(client_id, kid);
    EXPECT_TRUE(entry) << entry.error().ToString();
    return entry ? entry->record : KeyRecord{};
  }

 private:
  Token& token_;
  std::unique_ptr<TokenLedger> ledger_;
  std::unique_ptr<KeyRing> ring_;
  KeyCustodian custodian_;
};

}  // namespace assertion
