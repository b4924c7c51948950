#include "service/status.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace assertion::service {
namespace {

TEST(Status, TellsApartTheKindsOfFailuresThatShareACode) {
  for (const auto& [code, grpc_code, reason] :
       {std::tuple{Code::kKeyForbidden, grpc::StatusCode::FAILED_PRECONDITION, "KEY_FORBIDDEN"},
        std::tuple{Code::kKeyAmbiguous, grpc::StatusCode::FAILED_PRECONDITION, "KEY_AMBIGUOUS"},
        std::tuple{Code::kKeyUnproven, grpc::StatusCode::FAILED_PRECONDITION, "KEY_UNPROVEN"},
        std::tuple{Code::kLedgerUnusable, grpc::StatusCode::UNAVAILABLE, "LEDGER_UNUSABLE"}}) {
    const auto grpc = ToGrpc({.code = code, .message = "m", .detail = {}});
    EXPECT_EQ(grpc.error_code(), grpc_code);
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    ASSERT_TRUE(details.ParseFromString(grpc.error_details()));
    ASSERT_EQ(details.details_size(), 1);
    ASSERT_TRUE(details.details(0).UnpackTo(&info));
    EXPECT_EQ(info.reason(), reason);
    EXPECT_EQ(info.domain(), "assertiond");
  }
}

TEST(Status, SaysNoMoreWhereTheCodeSaysEnough) {
  for (const auto code : {Code::kInvalidArgument, Code::kPermissionDenied, Code::kUnavailable, Code::kPinLocked}) {
    EXPECT_EQ(ToGrpc({.code = code, .message = "m", .detail = {}}).error_details(), "");
  }
}

}  // namespace
}  // namespace assertion::service
