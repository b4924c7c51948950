// KeyCustodian::AcceptLedger: how an operator accepts a ledger that was rolled back.

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "key_ring_fixture.h"
#include "keys/ledger.h"
#include "keys/seal.h"

namespace assertion {
namespace {

class AcceptLedgerTest : public KeyRingFixture {
 protected:
  // Replaces the ledgers of "orders" by `texts`, as the restoration of a backup does.
  void Restore(const std::vector<std::string>& texts) {
    const auto kept = *hsm_.token().FindData("assertiond ledger", "orders");
    for (const auto& object : kept) {
      ASSERT_TRUE(hsm_.token().DestroyObject(object.handle));
    }
    for (const auto& text : texts) {
      ASSERT_TRUE(hsm_.token().StoreData("assertiond ledger", "orders", text));
    }
  }

  // The newest valid ledger of "orders", as it is stored.
  std::string Newest() {
    std::string newest;
    std::int64_t version = -1;
    Seal seal(hsm_.token(), RandomOctets);
    const auto kept = *hsm_.token().FindData("assertiond ledger", "orders");
    for (const auto& object : kept) {
      const auto payload = seal.Open(Seal::kLedger, object.value);
      if (const auto ledger = ParseLedger(payload.value_or("")); ledger && ledger->version > version) {
        version = ledger->version;
        newest = object.value;
      }
    }
    return newest;
  }

  static ChangeRequest On(std::int64_t version) {
    return {.client_id = "orders", .expected_version = version, .request_id = {}, .digest = {}, .forced = true};
  }
};

TEST_F(AcceptLedgerTest, TheOlderLedgersKeysSignAgainUnderAVersionAboveBoth) {
  std::string old;
  std::string kid;
  {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    kid = replica.Generate("orders");
    old = Newest();
    replica.Generate("orders");
    replica.Generate("orders");
  }
  const auto latest = Newest();
  Restore({old});
  std::int64_t highest = 0;
  {
    Replica replica(hsm_.token(), *certifier_, clients_, now_);
    replica.ring().Remember({{"orders", 3}}, [](const ClientLedger&) {});
    static_cast<void>(replica.ring().Refresh());
    ASSERT_TRUE(replica.ring().RolledBack()->contains("orders"));
    EXPECT_EQ(replica.ring().RolledBack()->at("orders").found, 1);
    EXPECT_EQ(replica.ring().RolledBack()->at("orders").seen, 3);
    EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
    // Only the version that is on the token is accepted.
    for (const auto other : {0, 2, 3, 4}) {
      EXPECT_EQ(replica.custodian().AcceptLedger(On(other)).error().code, Code::kAborted) << other;
    }
    EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
    const auto accepted = replica.custodian().AcceptLedger(On(1));
    ASSERT_TRUE(accepted) << accepted.error().ToString();
    EXPECT_EQ(accepted->found, 1);
    EXPECT_EQ(accepted->seen, 3);
    EXPECT_EQ(accepted->version, 4);
    EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
    EXPECT_TRUE(replica.ring().RolledBack()->empty());
    EXPECT_EQ(replica.custodian().AcceptLedger(On(4)).error().code, Code::kFailedPrecondition);  // a second time
    replica.Generate("orders");
    highest = replica.ring().VersionOf("orders");
    EXPECT_EQ(highest, 5);
  }
  // After a restart with the version that the audit log saw last, both replayed ledgers are too old.
  Replica restarted(hsm_.token(), *certifier_, clients_, now_);
  restarted.ring().Remember({{"orders", highest}}, [](const ClientLedger&) {});
  EXPECT_EQ((*restarted.ring().SigningKeyOf("orders"))->kid, kid);
  for (const auto& replayed : {old, latest}) {
    Restore({replayed});
    EXPECT_FALSE(restarted.ring().Refresh());
    EXPECT_EQ(restarted.ring().RolledBack()->at("orders").seen, highest);
  }
}

TEST_F(AcceptLedgerTest, AnUnsignedOrForeignLedgerIsNoneThatCanBeAccepted) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  replica.Generate("orders");
  const auto newest = Newest();
  ClientLedger old = *ParseLedger(*Seal(hsm_.token(), RandomOctets).Open(Seal::kLedger, newest));
  replica.Generate("orders");
  auto damaged = newest;
  damaged[damaged.size() - 10] = damaged[damaged.size() - 10] == 'A' ? 'B' : 'A';
  auto json = nlohmann::json::parse(ToJson(old));
  json.erase("previous");
  for (const std::string& text : {ToJson(old), json.dump(), damaged}) {
    Restore({text});
    EXPECT_FALSE(replica.ring().Refresh());
    EXPECT_EQ(replica.ring().RolledBack()->at("orders").found, 0);
    EXPECT_EQ(replica.custodian().AcceptLedger(On(1)).error().code, Code::kAborted);
  }
}

TEST_F(AcceptLedgerTest, ALedgerThatIsLostIsBegunAgainWithoutKeys) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  replica.Generate("orders");
  Restore({});
  EXPECT_FALSE(replica.ring().Refresh());
  const auto accepted = replica.custodian().AcceptLedger(On(0));
  ASSERT_TRUE(accepted) << accepted.error().ToString();
  EXPECT_EQ(accepted->version, 2);
  EXPECT_FALSE(replica.ring().SigningKeyOf("orders"));
  const auto kid = replica.Generate("orders");
  EXPECT_EQ((*replica.ring().SigningKeyOf("orders"))->kid, kid);
}

// A change leaves the ledger that it was made from beside its own.
TEST_F(AcceptLedgerTest, ALedgerMadeFromNoneOfTheOlderOnesBesideItDoesNotCount) {
  Replica replica(hsm_.token(), *certifier_, clients_, now_);
  std::vector<std::string> texts;
  for (int i = 0; i < 3; ++i) {
    replica.Generate("orders");
    texts.push_back(Newest());
  }
  const auto loads = [&](const std::vector<std::string>& kept) {
    Restore(kept);
    const auto ring = Load();
    return ring && (*ring)->SigningKeyOf("orders").has_value();
  };
  EXPECT_TRUE(loads({texts[2]}));
  EXPECT_TRUE(loads({texts[2], texts[1]}));
  EXPECT_TRUE(loads({texts[0], texts[1], texts[2]}));
  EXPECT_FALSE(loads({texts[0], texts[2]}));
  // A change that the emergency brake overtook leaves a ledger with a higher version than the brake's predecessor.
  Seal seal(hsm_.token(), RandomOctets);
  auto overtaken = *ParseLedger(*seal.Open(Seal::kLedger, texts[1]));
  auto brake = *ParseLedger(*seal.Open(Seal::kLedger, texts[2]));
  brake.version += 1;
  overtaken.version += 1;
  overtaken.requests.push_back({.id = "x", .digest = "x", .kid = {}});
  EXPECT_TRUE(
      loads({*seal.Sign(Seal::kLedger, ToJson(brake)), *seal.Sign(Seal::kLedger, ToJson(overtaken)), texts[1]}));
  EXPECT_FALSE(loads({*seal.Sign(Seal::kLedger, ToJson(brake)), *seal.Sign(Seal::kLedger, ToJson(overtaken))}));
}

}  // namespace
}  // namespace assertion
