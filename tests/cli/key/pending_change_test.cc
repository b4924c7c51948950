#include "cli/key/pending_change.h"

#include <gtest/gtest.h>

#include "assertion/key_record.h"
#include "cli/instant.h"

namespace assertion::cli {
namespace {

TEST(PendingChange, TheTextSaysWhoMayApproveItOrThatNobodyCan) {
  v1::PendingChange change;
  change.set_id("5f0c");
  change.set_digest("q8Zt");
  change.set_method("RevokeKey");
  change.set_client_id("orders");
  change.set_kid("1");
  change.set_requested_by("uid:7");
  change.set_summary("decided on version 3");
  *change.mutable_expires_at() = ToTimestamp(Time(std::chrono::seconds(1'800'000'000)));
  const std::string head = "RevokeKey of key 1 of client orders, requested by uid:7\n  decided on version 3\n";
  EXPECT_EQ(PendingText(change), head +
                                     "  until 2027-01-15T08:00:00Z another operator with the role approver may approve "
                                     "it: assertionctl key approve 5f0c --digest=q8Zt\n");
  EXPECT_EQ(PendingJson(change).at("requester_lost_role"), false);
  change.set_requester_lost_role(true);
  EXPECT_EQ(PendingText(change), head +
                                     "  its requester may not change keys any more, so nobody can approve it: withdraw "
                                     "it and ask again: assertionctl key withdraw 5f0c\n");
  EXPECT_EQ(PendingJson(change).at("requester_lost_role"), true);
}

}  // namespace
}  // namespace assertion::cli
