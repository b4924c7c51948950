// A call whose answer depends on an earlier line of the audit log.
#include "service/audited_call.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "audit/log_fixture.h"
#include "tokens/purchase_line.h"

namespace assertion::service {
namespace {

class AuditedCallTest : public audit::LogFixture {
 protected:
  // A purchase's line that is recorded now.
  std::shared_ptr<tokens::PurchaseLine> RecordPurchase() {
    auto line = std::make_shared<tokens::PurchaseLine>();
    log_->Record(Named("purchase"), [this, line](const Status& recorded) {
      line->End(recorded);
      if (ended_) {
        std::exchange(ended_, {})();
      }
    });
    return line;
  }

  // A hand-out that depends on the line; OK or the error with which it ended.
  std::future<Status> HandOut(const tokens::PurchaseLinePtr& line) {
    auto told = std::make_shared<std::promise<Status>>();
    AuditedCall call({.log = log_.get(), .refusals = nullptr}, "GetAccessToken", std::string(),
                     [told](Result<grpc::ByteBuffer> outcome) {
                       told->set_value(outcome ? Status() : std::unexpected(outcome.error()));
                     });
    if (line != nullptr) {
      call.ReleaseIf([line] { return line->CheckDurable(); });
    }
    call.Finish(grpc::ByteBuffer());
    return told->get_future();
  }

  std::unique_ptr<audit::Log> log_ = *Open();
  std::move_only_function<void()> ended_;  // called once, on the writing thread, when a purchase's line has ended
};

TEST_F(AuditedCallTest, WhatIsRecordedAfterADurableLineIsReleased) {
  const auto line = RecordPurchase();
  EXPECT_TRUE(HandOut(line).get());
  EXPECT_TRUE(HandOut(line).get());
  EXPECT_TRUE(HandOut(nullptr).get());
}

TEST_F(AuditedCallTest, WhatWasRecordedWithALostLineIsNotReleased) {
  std::filesystem::remove(path());
  const audit::Log::Together together(*log_);  // both lines are in one write, which fails
  const auto line = RecordPurchase();
  const auto told = HandOut(line).get();
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code, Code::kUnavailable);
}

TEST_F(AuditedCallTest, ALogThatGoesOnDoesNotReleaseWhatDependsOnALineThatItLost) {
  std::filesystem::remove(path());
  std::promise<void> lost;
  ended_ = [&] { lost.set_value(); };
  const auto line = RecordPurchase();
  lost.get_future().wait();
  log_->Reopen();  // a new file
  while (!log_->state()) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(HandOut(nullptr).get()) << "the log takes lines again";
  const auto told = HandOut(line).get();
  ASSERT_FALSE(told) << "a token left whose purchase is in no log";
  EXPECT_EQ(told.error().code, Code::kUnavailable);
}

TEST_F(AuditedCallTest, ALineThatTheLogNeverEndedReleasesNothing) {
  EXPECT_FALSE(HandOut(std::make_shared<tokens::PurchaseLine>()).get());
}

TEST_F(AuditedCallTest, WithoutALogTheConditionHoldsAsWell) {
  std::optional<bool> released;
  AuditedCall call({.log = nullptr, .refusals = nullptr}, "GetAccessToken", std::string(),
                   [&](const Result<grpc::ByteBuffer>& outcome) { released = outcome.has_value(); });
  call.ReleaseIf([] { return Fail(Code::kUnavailable, "not yet"); });
  call.Finish(grpc::ByteBuffer());
  EXPECT_EQ(released, false);
}

}  // namespace
}  // namespace assertion::service
