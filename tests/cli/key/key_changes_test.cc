#include "cli/key/key_changes.h"

#include <gtest/gtest.h>

#include "assertion/key_record.h"
#include "cli/instant.h"

namespace assertion::cli {
namespace {

using std::chrono::hours;

constexpr Time kNoon{std::chrono::seconds(1'800'000'000)};

class KeyChangesTest : public testing::Test {
 protected:
  KeyChangesTest() {
    auto& key = *before_.add_keys();
    key.set_client_id("a");
    key.set_kid("1");
    key.set_hsm("demo");
    key.set_state(v1::KEY_STATE_SIGNING);
    *key.mutable_publish_until() = ToTimestamp(kNever);
    after_ = before_;
  }

  // "kid what" of each change, in one line.
  std::string Changes() const {
    std::string text;
    for (const auto& change : KeyChanges(before_, after_, kNoon)) {
      text += (text.empty() ? "" : ", ") + change.key.kid() + " " + change.what;
    }
    return text;
  }

  v1::Key& key() { return *after_.mutable_keys(0); }

  v1::ListKeysResponse before_;
  v1::ListKeysResponse after_;
};

TEST_F(KeyChangesTest, NothingHappened) { EXPECT_EQ(Changes(), ""); }

TEST_F(KeyChangesTest, AStateAndACertificateAreChanges) {
  key().set_state(v1::KEY_STATE_RETIRING);
  key().set_x5t_s256("x");
  EXPECT_EQ(Changes(), "1 certificate stored, 1 retiring");
}

TEST_F(KeyChangesTest, AKeyThatIsWithdrawnAheadOfItsScheduleWasRevoked) {
  key().set_state(v1::KEY_STATE_WITHDRAWN);
  EXPECT_EQ(Changes(), "1 revoked");
  *before_.mutable_keys(0)->mutable_publish_until() = ToTimestamp(kNoon);
  EXPECT_EQ(Changes(), "1 withdrawn");
}

TEST_F(KeyChangesTest, AnotherScheduleInTheSameStateIsAChange) {
  *key().mutable_publish_until() = ToTimestamp(kNoon + hours(1));
  EXPECT_EQ(Changes(), "1 rescheduled");
}

TEST_F(KeyChangesTest, WhatAKeyWaitsForIsAChange) {
  key().set_waits_for("a certificate");
  EXPECT_EQ(Changes(), "1 waits for a certificate");
  std::swap(before_, after_);
  EXPECT_EQ(Changes(), "1 waits no longer");
}

TEST_F(KeyChangesTest, KeysThatComeAndGoAreChanges) {
  key().set_kid("2");
  EXPECT_EQ(Changes(), "2 signing, 1 gone");
}

}  // namespace
}  // namespace assertion::cli
