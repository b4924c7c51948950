#include "keys/schedule.h"

#include <gtest/gtest.h>

#include <random>

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr Time kNow{seconds(1'800'000'000)};

KeyRecord Key(std::uint8_t id, Time publish_from, Time sign_from, Time sign_until, Time publish_until) {
  return {.kid = "kid" + std::to_string(id),
          .algorithm = kAlgorithms.data(),
          .id = {id},
          .certificates = {},
          .publish_from = publish_from,
          .sign_from = sign_from,
          .sign_until = sign_until,
          .publish_until = publish_until};
}

Client WithBinding(Binding binding) {
  Client client;
  client.client_id = "orders";
  client.audiences = {"https://is/token"};
  client.max_lifetime = seconds(300);
  client.clock_skew = seconds(30);
  client.binding = binding;
  client.publish_lead = seconds(900);
  return client;
}

std::string Reason(const Status& status) { return status ? "" : status.error().message; }

TEST(KeyRecordTest, StateIsAFunctionOfTheClock) {
  const auto key = Key(1, kNow, kNow + seconds(10), kNow + seconds(20), kNow + seconds(30));
  EXPECT_EQ(key.StateAt(kNow - seconds(1)), KeyState::kStaged);
  EXPECT_EQ(key.StateAt(kNow), KeyState::kPublished);
  EXPECT_EQ(key.StateAt(kNow + seconds(9)), KeyState::kPublished);
  EXPECT_EQ(key.StateAt(kNow + seconds(10)), KeyState::kSigning);
  EXPECT_EQ(key.StateAt(kNow + seconds(19)), KeyState::kSigning);
  EXPECT_EQ(key.StateAt(kNow + seconds(20)), KeyState::kRetiring);
  EXPECT_EQ(key.StateAt(kNow + seconds(29)), KeyState::kRetiring);
  EXPECT_EQ(key.StateAt(kNow + seconds(30)), KeyState::kWithdrawn);
}

TEST(ScheduleTest, InstantsOutOfOrderAreRefused) {
  EXPECT_EQ(Reason(CheckOrder({Key(1, kNow, kNow, kNever, kNever)})), "");
  EXPECT_NE(Reason(CheckOrder({Key(1, kNow + seconds(1), kNow, kNever, kNever)})).find("sign_from: "),
            std::string::npos);
  EXPECT_NE(Reason(CheckOrder({Key(1, kNow, kNow, kNever, kNow + seconds(9))})).find("publish_until: "),
            std::string::npos);
}

TEST(ScheduleTest, TwoSigningKeysAtOnceAreRefused) {
  const auto first = Key(1, kNow, kNow, kNow + seconds(10), kNever);
  EXPECT_EQ(Reason(CheckOrder({first, Key(2, kNow, kNow + seconds(10), kNever, kNever)})), "");
  EXPECT_NE(Reason(CheckOrder({first, Key(2, kNow, kNow + seconds(9), kNever, kNever)})).find("would both sign"),
            std::string::npos);
}

TEST(ScheduleTest, ThePastStays) {
  const Schedule before = {Key(1, kNow - seconds(5), kNow, kNever, kNever)};
  EXPECT_NE(Reason(CheckPast(before, {Key(1, kNow - seconds(5), kNow + seconds(1), kNever, kNever)}, kNow))
                .find("has passed and cannot be changed"),
            std::string::npos);
  EXPECT_NE(Reason(CheckPast(before, {Key(1, kNow - seconds(5), kNow, kNow - seconds(1), kNever)}, kNow))
                .find("is in the past"),
            std::string::npos);
  EXPECT_EQ(Reason(CheckPast(before, {Key(1, kNow - seconds(5), kNow, kNow, kNow)}, kNow)), "");
}

TEST(ScheduleTest, AGapIsRefusedWhereThereWasNone) {
  const Schedule before = {Key(1, kNow, kNow, kNever, kNever)};
  const Schedule ends = {Key(1, kNow, kNow, kNow + seconds(10), kNever)};
  EXPECT_NE(Reason(CheckNoGap("orders", before, ends, kNow)).find("without a signing key from 2027-01-15T08:00:10Z"),
            std::string::npos);
  EXPECT_EQ(Reason(CheckNoGap("orders", ends, ends, kNow)), "");
  EXPECT_EQ(
      Reason(CheckNoGap("orders", before, {ends.front(), Key(2, kNow, kNow + seconds(10), kNever, kNever)}, kNow)), "");
}

TEST(ScheduleTest, AKeyThatTakesOverStopsItsPredecessor) {
  const auto client = WithBinding(Binding::kJwks);
  const Schedule before = {Key(1, kNow, kNow, kNever, kNever), Key(2, kNever, kNever, kNever, kNever)};
  const auto at = kNow + seconds(1000);
  const auto after =
      Rescheduled(client, before, "kid2", {.publish_from = {}, .sign_from = at, .sign_until = {}, .publish_until = {}},
                  kNow + seconds(5));
  EXPECT_EQ(after[1].publish_from, at - seconds(900));
  EXPECT_EQ(after[1].sign_from, at);
  EXPECT_EQ(after[0].sign_until, at);
  EXPECT_EQ(after[0].publish_until, at + seconds(330));
  EXPECT_EQ(Reason(CheckOrder(after)), "");
  EXPECT_EQ(Reason(CheckBinding(client, before, after)), "");
}

TEST(ScheduleTest, AKeyThatIsNotTakenOverFromSignsOn) {
  const auto client = WithBinding(Binding::kJwks);
  const auto at = kNow + seconds(1000);
  const auto to = [&](std::optional<Time> sign_from) {
    return Instants{.publish_from = {}, .sign_from = sign_from, .sign_until = {}, .publish_until = {}};
  };
  const auto planned = Rescheduled(client, {Key(1, kNow, kNow, kNever, kNever), Key(2, kNever, kNever, kNever, kNever)},
                                   "kid2", to(at), kNow);
  ASSERT_EQ(planned[0].sign_until, at);

  const auto later = Rescheduled(client, planned, "kid2", to(at + seconds(500)), kNow + seconds(5));
  EXPECT_EQ(later[0].sign_until, at + seconds(500));
  EXPECT_EQ(later[0].publish_until, at + seconds(830));
  EXPECT_EQ(Reason(CheckOrder(later)), "");
  EXPECT_EQ(Reason(CheckNoGap("orders", planned, later, kNow + seconds(5))), "");
  EXPECT_EQ(Reason(CheckBinding(client, planned, later)), "");

  const auto never = Rescheduled(client, planned, "kid2", to(kNever), kNow + seconds(5));
  EXPECT_EQ(never[0].sign_until, kNever);
  EXPECT_EQ(never[0].publish_until, kNever);

  const auto revoked = Revoked(client, planned, "kid2", kNow + seconds(5));
  EXPECT_EQ(revoked[0].sign_until, kNever);
  EXPECT_EQ(Reason(CheckNoGap("orders", planned, revoked, kNow + seconds(5))), "");

  // Once it has taken over there is nothing to hand back.
  const auto too_late = Revoked(client, planned, "kid2", at);
  EXPECT_EQ(too_late[0].sign_until, at);

  // A third key that was to follow takes over from the first.
  const auto third = Rescheduled(client, {planned[0], planned[1], Key(3, kNow, kNever, kNever, kNever)}, "kid3",
                                 to(at + seconds(2000)), kNow);
  const auto without = Revoked(client, third, "kid2", kNow + seconds(5));
  EXPECT_EQ(without[0].sign_until, at + seconds(2000));
  EXPECT_EQ(Reason(CheckOrder(without)), "");
}

TEST(ScheduleTest, TheBindingByJwksAsksForLeadAndOverlap) {
  const Schedule before = {Key(1, kNow, kNow, kNever, kNever)};
  const auto at = kNow + seconds(899);
  const Schedule hasty = {Key(1, kNow, kNow, at, at + seconds(330)), Key(2, kNow, at, kNever, kNever)};
  EXPECT_NE(Reason(CheckBinding(WithBinding(Binding::kJwks), before, hasty)).find("publish_lead"), std::string::npos);
  EXPECT_EQ(Reason(CheckBinding(WithBinding(Binding::kCertificate), before, hasty)), "");
  const auto later = kNow + seconds(900);
  const Schedule brief = {Key(1, kNow, kNow, later, later + seconds(329)), Key(2, kNow, later, kNever, kNever)};
  EXPECT_NE(Reason(CheckBinding(WithBinding(Binding::kJwks), before, brief)).find("publish_until"), std::string::npos);
}

// Random administrators with a clock that moves on: whatever was let through keeps the promises at every instant.
TEST(ScheduleTest, RandomChangesNeverLetTwoSignNorRewriteThePast) {
  std::mt19937 random(20261124);  // fixed: a failure comes again
  const auto pick = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most + 1)); };
  int accepted = 0;
  for (int run = 0; run < 200; ++run) {
    const auto client = WithBinding(pick(1) == 0 ? Binding::kJwks : Binding::kCertificate);
    Schedule schedule;
    auto now = kNow;
    for (int step = 0; step < 30; ++step) {
      now += seconds(pick(2000));
      const auto instant = [&]() -> std::optional<Time> {
        return pick(2) == 0 ? std::optional(now + seconds(pick(4000) - 500)) : std::nullopt;
      };
      auto after = schedule;
      const auto kid = "kid" + std::to_string(pick(static_cast<int>(schedule.size())));
      switch (pick(3)) {
        case 0:
          after.push_back(Key(static_cast<std::uint8_t>(schedule.size()), kNever, kNever, kNever, kNever));
          break;
        case 1:
          after = Revoked(client, after, kid, now);
          break;
        default:
          after = Rescheduled(client, after, kid, {instant(), instant(), instant(), instant()}, now);
      }
      if (!CheckOrder(after) || !CheckPast(schedule, after, now)) {
        continue;
      }
      ++accepted;
      for (int look = 0; look < 20; ++look) {
        const auto at = now + seconds(pick(8000) - 4000);
        const auto signing = std::ranges::count_if(after, [&](const auto& key) { return key.SignsAt(at); });
        ASSERT_LE(signing, 1);
        for (const auto& key : after) {
          ASSERT_TRUE(!key.SignsAt(at) || key.PublishedAt(at));
        }
        // What was before now is as it was.
        const auto past = std::min(at, now - seconds(1));
        for (std::size_t i = 0; i < schedule.size(); ++i) {
          ASSERT_EQ(schedule[i].SignsAt(past), after[i].SignsAt(past));
          ASSERT_EQ(schedule[i].PublishedAt(past), after[i].PublishedAt(past));
        }
      }
      schedule = std::move(after);
    }
  }
  EXPECT_GT(accepted, 1000);
}

TEST(ScheduleTest, TheBindingByCertificateAsksForItBeforeAKeyTakesOver) {
  const auto client = WithBinding(Binding::kCertificate);
  const Schedule before = {Key(1, kNow - seconds(10), kNow - seconds(10), kNever, kNever)};
  const Schedule at_once = {Key(1, kNow - seconds(10), kNow - seconds(10), kNow, kNow + seconds(330)),
                            Key(2, kNow, kNow, kNever, kNever)};
  EXPECT_NE(Reason(CheckBinding(client, before, at_once)).find("certificate"), std::string::npos);
  // Not of the first key, nor of one that was there before, nor of one that nobody knows by a certificate.
  EXPECT_EQ(Reason(CheckBinding(client, {}, {at_once[1]})), "");
  const Schedule staged = {before[0], Key(2, kNow, kNever, kNever, kNever)};
  EXPECT_EQ(Reason(CheckBinding(client, before, staged)), "");
  EXPECT_EQ(Reason(CheckBinding(client, staged, at_once)), "");
  auto for_proofs = client;
  for_proofs.purposes = {Purpose::kDpop};
  EXPECT_EQ(Reason(CheckBinding(for_proofs, before, at_once)), "");
}

}  // namespace
}  // namespace assertion
