#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "jws/thumbprint.h"
#include "keys/key_ring.h"
#include "replica.h"
#include "softhsm.h"
#include "wrapped_token.h"

namespace assertion {

// A SoftHSM2 token with a ledger, over which tests load key rings for the clients "orders" and "billing". Tests move
// the clock `now_`.
class KeyRingFixture : public testing::Test {
 protected:
  KeyRingFixture()
      : certifier_(*x509::Certifier::New(SOFTHSM2_MODULE)),
        ledger_(*TokenLedger::Open(hsm_.token(), "test", [this] { return now_; }, RandomOctets)) {}

  Result<std::unique_ptr<KeyRing>> Load(Token& token) {
    return KeyRing::Load(token, *ledger_, clients_, [this] { return now_; }, RandomOctets);
  }
  Result<std::unique_ptr<KeyRing>> Load() { return Load(hsm_.token()); }

  // Enters a key that is on the token into the ledger. It signs at once.
  void Enter(const std::string& client_id, const Bytes& id, const std::vector<std::string>& certificates = {}) {
    const auto contents = hsm_.token().Read({client_id});
    ASSERT_TRUE(contents);
    const auto key = std::ranges::find(contents->keys, id, &TokenKey::id);
    ASSERT_NE(key, contents->keys.end());
    Enter(client_id, {.kid = jws::JwkThumbprint(key->public_key),
                      .algorithm = kAlgorithms.data(),
                      .id = id,
                      .certificates = certificates,
                      .publish_from = now_,
                      .sign_from = now_});
  }

  void Enter(const std::string& client_id, const KeyRecord& record) {
    const auto hold = ledger_->Take(client_id);
    ASSERT_TRUE(hold);
    auto next = (*hold)->current();
    ++next.version;
    next.keys.push_back(record);
    ASSERT_TRUE((*hold)->Commit(next));
  }

  // Expects that the key of "orders" is refused for this reason while the ring as a whole loads.
  void ExpectFlaw(const KeyRing& ring, Code code, const std::string& part) {
    const auto& keys = ring.Snapshot()->at("orders").keys;
    ASSERT_FALSE(keys.empty());
    ASSERT_TRUE(keys.back().flaw);
    EXPECT_EQ(keys.back().flaw->code, code);
    EXPECT_NE(keys.back().flaw->message.find(part), std::string::npos) << keys.back().flaw->message;
    EXPECT_FALSE(keys.back().key);
    const auto refused = ring.SigningKeyOf("orders");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  }

  void ExpectFlaw(Token& token, Code code, const std::string& part) {
    const auto ring = Load(token);
    ASSERT_TRUE(ring) << ring.error().ToString();
    ExpectFlaw(**ring, code, part);
  }
  void ExpectFlaw(Code code, const std::string& part) { ExpectFlaw(hsm_.token(), code, part); }

  // Expects that the key of "orders" signs and that its certificate is refused for this reason.
  void ExpectCertificateFlaw(Code code, const std::string& part) {
    const auto ring = Load();
    ASSERT_TRUE(ring) << ring.error().ToString();
    const auto key = (*ring)->SigningKeyOf("orders");
    ASSERT_TRUE(key) << key.error().ToString();
    EXPECT_TRUE((*key)->chain.empty());
    const auto flaw = (*ring)->Find("orders", "")->certificate_flaw;
    ASSERT_TRUE(flaw);
    EXPECT_EQ(flaw->code, code);
    EXPECT_NE(flaw->message.find(part), std::string::npos) << flaw->message;
  }

  // The certificate of a key that was made for "billing".
  Certificate Foreign() {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    const auto kid = replica.Generate("billing");
    return replica.ring().Find("billing", kid)->key->chain.at(0);
  }

  LoggedInSoftHsm hsm_;
  std::unique_ptr<x509::Certifier> certifier_;
  Time now_{std::chrono::seconds(1'800'000'000)};
  std::vector<Client> clients_ = {Named("orders"), Named("billing")};
  std::unique_ptr<TokenLedger> ledger_;
};

// Makes signatures of the right size that do not verify, until it recovers.
class WrongToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override {
    if (recovered_) {
      return WrappedToken::OpenSigningSession();
    }
    return std::make_unique<Session>();
  }

  void Recover() { recovered_ = true; }

 private:
  class Session final : public SigningSession {
   public:
    Result<Bytes> Sign(const Bytes&, const Algorithm&, std::string_view) override { return Bytes(256, 1); }
  };

  std::atomic<bool> recovered_ = false;
};

}  // namespace assertion
