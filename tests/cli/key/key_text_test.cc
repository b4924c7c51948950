#include "cli/key/key_text.h"

#include <gtest/gtest.h>

#include "assertion/key_record.h"
#include "cli/instant.h"

namespace assertion::cli {
namespace {

using std::chrono::days;
using std::chrono::hours;

constexpr Time kNow{std::chrono::seconds(1'800'000'000)};  // 2027-01-15T08:00:00Z

v1::Key KeyOf(const std::string& client_id, const std::string& kid, v1::KeyState state, Time not_after) {
  v1::Key key;
  key.set_client_id(client_id);
  key.set_kid(kid);
  key.set_algorithm("RS256");
  key.set_key_bits(2048);
  key.set_state(state);
  key.set_x5t_s256("x");
  *key.mutable_not_after() = ToTimestamp(not_after);
  *key.mutable_publish_from() = ToTimestamp(kNow + hours(1));
  *key.mutable_sign_from() = ToTimestamp(kNow + hours(2));
  *key.mutable_sign_until() = ToTimestamp(kNow + hours(3));
  *key.mutable_publish_until() = ToTimestamp(kNever);
  return key;
}

TEST(KeyText, TheTableSaysWhatEachKeyDoesSinceWhenAndUntilWhen) {
  v1::ListKeysResponse response;
  for (const auto* client_id : {"a", "b", "c", "d"}) {
    (*response.mutable_versions())[client_id] = 0;
  }
  const auto year = kNow + days(365);
  *response.add_keys() = KeyOf("b", "1", v1::KEY_STATE_STAGED, year);
  *response.add_keys() = KeyOf("b", "2", v1::KEY_STATE_PUBLISHED, year);
  *response.add_keys() = KeyOf("d", "3", v1::KEY_STATE_SIGNING, year);
  *response.add_keys() = KeyOf("d", "4", v1::KEY_STATE_RETIRING, year);
  *response.add_keys() = KeyOf("d", "5", v1::KEY_STATE_WITHDRAWN, year);
  EXPECT_EQ(
      KeyTable(response, kNow),
      "CLIENT  KID     ALGORITHM  STATE      SINCE                 UNTIL                 CERTIFICATE UNTIL\n"
      "a       no key  -          -          -                     -                     -\n"
      "b       1       RS256      staged     -                     2027-01-15T09:00:00Z  2028-01-15 (365 days left)\n"
      "b       2       RS256      published  2027-01-15T09:00:00Z  2027-01-15T10:00:00Z  2028-01-15 (365 days left)\n"
      "c       no key  -          -          -                     -                     -\n"
      "d       3       RS256      signing    2027-01-15T10:00:00Z  2027-01-15T11:00:00Z  2028-01-15 (365 days left)\n"
      "d       4       RS256      retiring   2027-01-15T11:00:00Z  never                 2028-01-15 (365 days left)\n"
      "d       5       RS256      withdrawn  never                 -                     2028-01-15 (365 days left)\n");
}

TEST(KeyText, AKeyThatWasRevokedFirstWasNeverPublishedAndNeverSigned) {
  auto key = KeyOf("a", "1", v1::KEY_STATE_WITHDRAWN, kNow + days(365));
  const auto revoked = ToTimestamp(kNow - hours(1));
  for (auto* instant : {key.mutable_sign_from(), key.mutable_sign_until(), key.mutable_publish_until()}) {
    *instant = revoked;
  }
  *key.mutable_publish_from() = ToTimestamp(kNow - hours(2));
  const auto published = KeyText(key, kNow);
  EXPECT_TRUE(
      published.contains("\npublished from   2027-01-15T06:00:00Z (2 h ago)\nsigns from       never\n"
                         "signs until      -\npublished until  2027-01-15T07:00:00Z (60 min ago)\n"))
      << published;
  *key.mutable_publish_from() = revoked;
  const auto staged = KeyText(key, kNow);
  EXPECT_TRUE(
      staged.contains("\npublished from   never\nsigns from       never\nsigns until      -\n"
                      "withdrawn        2027-01-15T07:00:00Z (60 min ago)\n"))
      << staged;
}

TEST(KeyText, ShortKidsTellTheKeysApart) {
  v1::ListKeysResponse response;
  for (const auto* kid : {"abcdefgh-1-long", "abcdefgh-2-long", "b"}) {
    *response.add_keys() = KeyOf("a", kid, v1::KEY_STATE_SIGNING, kNow + days(365));
  }
  *response.add_keys() = response.keys(0);  // on another HSM
  EXPECT_EQ(ShortKidLength(response), 10);
  const auto table = KeyTable(response, kNow, {.short_kids = true});
  EXPECT_TRUE(table.contains("\na       abcdefgh-2  RS256")) << table;
  response.mutable_keys()->DeleteSubrange(1, 3);
  EXPECT_EQ(ShortKidLength(response), 8);
}

TEST(KeyText, KeysOfOneSecondHaveTheSameDaysLeft) {
  const auto made = [](Time now) { return KeyLine(KeyOf("a", "1", v1::KEY_STATE_SIGNING, kNow + days(365)), now); };
  EXPECT_TRUE(made(kNow).ends_with("(365 days left)\n"));
  EXPECT_EQ(made(kNow), made(kNow + std::chrono::seconds(1)));
}

TEST(KeyText, ACertificateThatEndsSoonIsMarked) {
  const auto line = [](Time not_after) { return KeyLine(KeyOf("a", "1", v1::KEY_STATE_SIGNING, not_after), kNow); };
  EXPECT_TRUE(line(kNow + days(30)).ends_with("certificate until 2027-02-14 (30 days left)\n"));
  EXPECT_TRUE(line(kNow + days(30) - hours(1)).ends_with("(30 days left) EXPIRES SOON\n"));
  EXPECT_TRUE(line(kNow + days(29)).ends_with("(29 days left) EXPIRES SOON\n"));
  EXPECT_TRUE(line(kNow + days(1)).ends_with("(1 day left) EXPIRES SOON\n"));
  EXPECT_TRUE(line(kNow).ends_with("(0 days left) EXPIRES SOON\n"));
  EXPECT_TRUE(line(kNow - days(3)).ends_with("certificate until 2027-01-12 EXPIRED 3 days ago\n"));
}

TEST(KeyText, AKeyWithoutACertificateSaysSo) {
  auto key = KeyOf("a", "1", v1::KEY_STATE_SIGNING, kNow);
  key.clear_x5t_s256();
  EXPECT_TRUE(KeyLine(key, kNow).ends_with("no certificate\n")) << KeyLine(key, kNow);
  EXPECT_FALSE(KeyJson(key).contains("not_after"));
}

TEST(KeyText, CustodyThatWasNotTriedSaysHowItIs) {
  EXPECT_EQ(CustodyLines("held: well"), "custody          held: well\n");
  EXPECT_EQ(CustodyLines("not tried since the server started"),
            "custody          not tried since the server started\n"
            "  next           the server tries it before it makes the next key of this type; assertionctl doctor "
            "--config FILE --try tries it now\n");
}

TEST(KeyText, ARevocationSaysWhatItDidAndWhatItLeavesToDo) {
  auto key = KeyOf("orders", "1", v1::KEY_STATE_WITHDRAWN, kNow + days(365));
  EXPECT_TRUE(TextOfRevocation(key).starts_with(
      "revoked: it neither signs nor is published from now on\n  next: have the identity server forget the key: "));
  EXPECT_TRUE(
      TextOfRevocation(key, false)
          .starts_with(
              "this key was withdrawn before: nothing has changed\n  next: have the identity server forget the key: "));
  key.add_purposes("dpop");
  EXPECT_TRUE(TextOfRevocation(key).ends_with(
      "\n  next: nothing: access tokens that are bound to the key end by themselves\n"));
}

}  // namespace
}  // namespace assertion::cli
