#include "cli/status/attention.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "assertion/key_record.h"
#include "cli/instant.h"
#include "cli/status/monitored.h"

namespace assertion::cli {
namespace {

using std::chrono::days;
using std::chrono::hours;

constexpr Time kMidday{std::chrono::seconds(1'800'000'000)};  // 2027-01-15T08:00:00Z

class AttentionTest : public testing::Test {
 protected:
  AttentionTest() { (*response_.mutable_versions())["orders"] = 1; }

  v1::Key& Add(const std::string& kid, v1::KeyState state, Time sign_from, Time sign_until) {
    auto& key = *response_.add_keys();
    key.set_client_id("orders");
    key.set_kid(kid);
    key.set_state(state);
    key.set_x5t_s256("x");
    key.set_key_bits(2048);
    *key.mutable_not_after() = ToTimestamp(kMidday + days(365));
    *key.mutable_sign_from() = ToTimestamp(sign_from);
    *key.mutable_sign_until() = ToTimestamp(sign_until);
    *key.mutable_publish_until() = ToTimestamp(kNever);
    return key;
  }

  v1::Key& AddSigning(Time until = kNever) { return Add("1", v1::KEY_STATE_SIGNING, kMidday - hours(1), until); }

  // A line for each: its level, kid and text.
  std::string Found() const {
    std::string text;
    for (const auto& attention : AttentionTo(response_, kMidday)) {
      text += (attention.wrong ? "wrong " : "soon ") + attention.kid + ": " + attention.text + "\n";
    }
    return text;
  }

  v1::ListKeysResponse response_;
};

TEST_F(AttentionTest, AKeyThatSignsWithoutAnEndNeedsNone) {
  AddSigning();
  EXPECT_EQ(Found(), "");
  EXPECT_EQ(SigningClients(response_), 1);
}

TEST_F(AttentionTest, AClientSignsOnAnHsmThatIsNotLost) {
  AddSigning().set_hsm("east");
  EXPECT_EQ(SigningClients(response_, {"west"}), 1);
  EXPECT_EQ(SigningClients(response_, {"east"}), 0);
  Add("2", v1::KEY_STATE_SIGNING, kMidday - hours(1), kNever).set_hsm("west");
  EXPECT_EQ(SigningClients(response_, {"east"}), 1);
}

TEST_F(AttentionTest, AClientWithoutAKeyThatSignsIsWrong) {
  EXPECT_EQ(Found(), "wrong : has no key\n");
  Add("2", v1::KEY_STATE_WITHDRAWN, kMidday - hours(2), kMidday - hours(1));
  EXPECT_EQ(Found(), "wrong : none of its keys signs\n");
  EXPECT_EQ(SigningClients(response_), 0);
}

TEST_F(AttentionTest, AKeyThatWaitsCannotSign) {
  AddSigning().set_waits_for("a certificate");
  EXPECT_EQ(Found(), "wrong 1: cannot sign: waits for a certificate\n");
  EXPECT_EQ(SigningClients(response_), 0);
}

TEST_F(AttentionTest, AKeyThatTheHsmLacksCannotSignUnlessAnotherHsmHasIt) {
  AddSigning().set_key_bits(0);
  EXPECT_EQ(Found(), "wrong 1: cannot sign: it is not on the HSM, or is not what the ledger says\n");
  EXPECT_EQ(SigningClients(response_), 0);
  AddSigning();
  EXPECT_EQ(Found(), "");
  EXPECT_EQ(SigningClients(response_), 1);
}

TEST_F(AttentionTest, WhereACertificateExpiredTheKeysNextOneComesBeforeANewKey) {
  auto& key = AddSigning();
  key.set_waits_for("a certificate that has not expired");
  *key.mutable_not_after() = ToTimestamp(kMidday - hours(1));
  const auto found = AttentionTo(response_, kMidday);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found.front().next,
            "once there is a certificate for this key: assertionctl key import-certificate --client-id orders --kid=1 "
            "--certificate FILE, and it signs again at once");
  EXPECT_EQ(
      found.back().next,
      "assertionctl key rotate --client-id orders: a new key, which with a JWK Set signs only after publish_lead");
}

TEST_F(AttentionTest, AClientThatTheConfigurationLacksIsNamedWithItsKeys) {
  AddSigning();
  auto& left = *response_.add_left_clients();
  left.set_hsm("east");
  left.set_client_id("gone");
  left.set_keys(1);
  const auto found = AttentionTo(response_, kMidday);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FALSE(found.front().wrong);
  EXPECT_EQ(found.front().client_id, "gone");
  EXPECT_EQ(found.front().text, "is not in the configuration, and its ledger on HSM east has 1 key");
  EXPECT_TRUE(found.front().next.contains("assertionctl key destroy")) << found.front().next;
}

TEST_F(AttentionTest, CustodyIsSaidOnceForAllKeysOfOneHsmAndType) {
  const auto add = [&](const char* kid, const char* algorithm, const char* hsm) {
    auto& key = Add(kid, v1::KEY_STATE_SIGNING, kMidday - hours(1), kNever);
    key.set_algorithm(algorithm);
    key.set_hsm(hsm);
    return &key;
  };
  add("1", "RS256", "east");
  add("2", "PS256", "east");
  add("3", "ES256", "east");
  add("4", "RS256", "west");
  add("5", "RS256", "west")->set_state(v1::KEY_STATE_WITHDRAWN);
  const auto types = ByType(response_);
  ASSERT_EQ(types.size(), 3U);
  std::string text;
  for (const auto& keys : types) {
    const auto attention = AttentionTo(keys, "unproven");
    EXPECT_EQ(attention.client_id + attention.kid, "");
    text += attention.hsm + ": " + attention.text + "\n";
  }
  EXPECT_EQ(text,
            "east: custody of EC keys unproven; it has 1 such key\n"
            "east: custody of RSA keys unproven; it has 2 such keys\n"
            "west: custody of RSA keys unproven; it has 1 such key\n");
}

TEST_F(AttentionTest, ACertificateThatEndsSoonIsNamed) {
  auto& key = AddSigning();
  *key.mutable_not_after() = ToTimestamp(kMidday + days(2));
  EXPECT_EQ(Found(), "soon 1: certificate until 2027-01-17 (2 days left) EXPIRES SOON\n");
}

TEST_F(AttentionTest, AnEndOfSigningIsNamedUnlessASuccessorIsFarAhead) {
  AddSigning(kMidday + days(40));
  EXPECT_EQ(Found(), "soon 1: signs until 2027-02-24T08:00:00Z (in 40 days), and no key follows\n");
  Add("2", v1::KEY_STATE_PUBLISHED, kMidday + days(40), kNever);
  EXPECT_EQ(Found(), "soon 2: published: signs from 2027-02-24T08:00:00Z (in 40 days)\n");
}

TEST_F(AttentionTest, ACommandIsQuotedForAShell) {
  response_.mutable_versions()->clear();
  (*response_.mutable_versions())["a; reboot"] = 0;
  EXPECT_EQ(AttentionTo(response_, kMidday).front().next, "assertionctl key generate --client-id 'a; reboot'");
}

TEST_F(AttentionTest, AKeyWithoutATimeNeedsItsCertificateAtTheIdentityServerFirst) {
  AddSigning();
  Add("2", v1::KEY_STATE_PUBLISHED, kNever, kNever);
  const auto found = AttentionTo(response_, kMidday);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(
      found.front().next,
      "an identity server that holds one certificate, as WSO2, needs the key's first: assertionctl certificate "
      "get --client-id orders --kid=2; then assertionctl key schedule --client-id orders --kid=2 --sign-from now");
}

TEST_F(AttentionTest, AKeyForDpopAloneHasNothingToPublish) {
  AddSigning().add_purposes("dpop");
  Add("2", v1::KEY_STATE_PUBLISHED, kNever, kNever).add_purposes("dpop");
  auto& retiring = Add("3", v1::KEY_STATE_RETIRING, kMidday - hours(2), kMidday - hours(1));
  retiring.add_purposes("dpop");
  const auto found = AttentionTo(response_, kMidday);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found.front().next, "assertionctl key schedule --client-id orders --kid=2 --sign-from now");
  EXPECT_TRUE(found.back().text.starts_with("retires until ")) << found.back().text;
  retiring.add_purposes("client_assertion");
  EXPECT_TRUE(AttentionTo(response_, kMidday).back().text.starts_with("retires: published until "));
}

TEST_F(AttentionTest, WhereAKeyWaitsWithoutATimeItIsProposedAsTheSuccessorAndNoThirdKey) {
  AddSigning(kMidday + hours(24));
  EXPECT_EQ(AttentionTo(response_, kMidday).front().next, "assertionctl key rotate --client-id orders");
  Add("0", v1::KEY_STATE_WITHDRAWN, kNever, kNever);
  EXPECT_EQ(AttentionTo(response_, kMidday).front().next, "assertionctl key rotate --client-id orders");
  Add("2", v1::KEY_STATE_PUBLISHED, kNever, kNever);
  const auto found = AttentionTo(response_, kMidday);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found.front().text, "signs until 2027-01-16T08:00:00Z (in 24 h), and no key follows");
  EXPECT_TRUE(
      found.front().next.ends_with("; then assertionctl key schedule --client-id orders --kid=2 --sign-from "
                                   "2027-01-16T08:00:00Z"))
      << found.front().next;
}

TEST_F(AttentionTest, WhatIsWrongComesFirst) {
  AddSigning(kMidday + days(40));
  (*response_.mutable_versions())["zeta"] = 0;
  EXPECT_TRUE(Found().starts_with("wrong : has no key\nsoon 1: ")) << Found();
}

TEST(Monitored, ReadinessLinesAreTheReasonsAlone) {
  EXPECT_TRUE(ReadinessLines("ready\n").empty());
  EXPECT_EQ(ReadinessLines("hsm demo: away\naudit: full\n"),
            (std::vector<std::string>{"hsm demo: away", "audit: full"}));
}

TEST_F(AttentionTest, AnExpiredCertificateIsWrongWhereTheServerDoesNotSignWithIt) {
  auto& key = AddSigning();
  *key.mutable_not_after() = ToTimestamp(kMidday - days(3));
  EXPECT_EQ(Found(),
            "soon 1: certificate until 2027-01-12 EXPIRED 3 days ago, and signs all the same: "
            "sign_with_expired_certificate\n");
  EXPECT_EQ(SigningClients(response_), 1);
  key.set_waits_for("a certificate that has not expired");
  EXPECT_EQ(Found(),
            "wrong 1: cannot sign: waits for a certificate that has not expired\n"
            "wrong 1: certificate until 2027-01-12 EXPIRED 3 days ago\n");
  EXPECT_EQ(SigningClients(response_), 0);
}

TEST_F(AttentionTest, ARefusedReloadIsWrongAndNamesItsReason) {
  AddSigning();
  response_.set_refused_configuration("/etc/a.json: token_listen: takes a restart to change");
  EXPECT_EQ(Found(),
            "wrong : the last reload was refused, so the one before is in force: /etc/a.json: token_listen: takes a "
            "restart to change\n");
}

TEST_F(AttentionTest, CommandsQuoteTheirWordsForAShell) {
  Add("-a;b'$(c)", v1::KEY_STATE_PUBLISHED, kNever, kNever).set_client_id("a b");
  Add("2", v1::KEY_STATE_SIGNING, kMidday - hours(1), kNever);
  const auto found = AttentionTo(response_, kMidday);
  const auto coming = std::ranges::find(found, "-a;b'$(c)", &Attention::kid);
  ASSERT_NE(coming, found.end());
  EXPECT_TRUE(
      coming->next.ends_with("then assertionctl key schedule --client-id 'a b' --kid='-a;b'\\''$(c)' --sign-from now"))
      << coming->next;
  EXPECT_TRUE(coming->next.contains("assertionctl certificate get --client-id 'a b' --kid='-a;b'\\''$(c)'; "))
      << coming->next;
}

TEST_F(AttentionTest, AKeyThatIsRequestedAlreadyIsToBeApproved) {
  (*response_.mutable_versions())["billing"] = 1;
  v1::ListPendingChangesResponse pending;
  auto& change = *pending.add_changes();
  change.set_client_id("orders");
  change.set_method("DestroyKey");
  const auto next = [&](std::size_t at) {
    auto found = AttentionTo(response_, kMidday);
    ApproveRather(pending, found);
    return found.at(at).next;
  };
  EXPECT_EQ(next(1), "assertionctl key generate --client-id orders") << "another change does not make it";
  change.set_method("GenerateKey");
  EXPECT_EQ(next(0), "assertionctl key generate --client-id billing");
  EXPECT_EQ(next(1), "a key is requested already, see it with: assertionctl key pending");
}

TEST_F(AttentionTest, ALedgerThatWasRolledBackIsWrongAndNoNewKeyIsAdvised) {
  AddSigning();
  (*response_.mutable_versions())["billing"] = 0;
  (*response_.mutable_versions())["new"] = 0;
  for (const auto* client : {"billing", "orders"}) {
    auto& ledger = *response_.add_rolled_back_ledgers();
    ledger.set_hsm("live");
    ledger.set_client_id(client);
    ledger.set_found(3);
    ledger.set_seen(5);
  }
  const std::string lost = "wrong : its ledger on HSM live was rolled back or lost: version 3, and 5 was seen before\n";
  EXPECT_EQ(Found(), lost + lost + "wrong : has no key\n");
  const auto found = AttentionTo(response_, kMidday);
  EXPECT_EQ(found.at(0).client_id, "billing");
  EXPECT_EQ(found.at(0).next, "restore the later one, or see assertionctl key accept-ledger --help");
  EXPECT_EQ(found.at(1).client_id, "orders");
  EXPECT_EQ(found.at(2).client_id, "new");
}

TEST(TlsEndsTest, AreReadFromTheMetricsAndNeedAttentionFromThirtyDaysBefore) {
  const auto ends = TlsEnds(
      ParseMetrics("assertiond_tls_certificate_not_after_seconds{file=\"certificate\"} 1800000000\n"
                   "assertiond_tls_certificate_not_after_seconds{file=\"client_ca\"} 1800000001\n"
                   "assertiond_certificate_not_after_seconds{client_id=\"orders\",hsm=\"live\",kid=\"k\"} 5\n"));
  ASSERT_EQ(ends.size(), 2U);
  const Time end{std::chrono::seconds(1'800'000'000)};
  EXPECT_FALSE(AttentionTo(ends.front(), end - days(30)));
  const auto soon = AttentionTo(ends.front(), end - days(5));
  ASSERT_TRUE(soon);
  EXPECT_FALSE(soon->wrong);
  EXPECT_EQ(soon->text, "the certificate of tls.certificate expires in 5 days");
  const auto over = AttentionTo(ends.back(), end + days(3));
  ASSERT_TRUE(over);
  EXPECT_TRUE(over->wrong);
  EXPECT_TRUE(over->text.starts_with("an authority of tls.client_ca expired ")) << over->text;
}

}  // namespace
}  // namespace assertion::cli
