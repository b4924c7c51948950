#include "cli/key/change.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

const std::string kPrivateKey(100, 'k');

v1::ImportKeyRequest Import() {
  v1::ImportKeyRequest request;
  request.set_client_id("orders");
  request.set_private_key(kPrivateKey);
  return request;
}

TEST(SendChange, APrivateKeyThatIsNotSentIsWiped) {
  auto request = Import();
  const auto unreachable = SendChange("unix:/nowhere/socket", &Connection::ImportKey, request, {});
  ASSERT_FALSE(unreachable);
  EXPECT_EQ(unreachable.error().code, Code::kAddressUnusable);
  EXPECT_EQ(request.private_key(), std::string(kPrivateKey.size(), '\0'));
}

TEST(SendChange, APrivateKeyOfAWrongCommandIsWiped) {
  auto request = Import();
  ChangeFlags flags;
  flags.force_client_id = "another";
  const auto refused = SendChange("unix:/nowhere/socket", &Connection::ImportKey, request, flags);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_EQ(request.private_key(), std::string(kPrivateKey.size(), '\0'));
}

}  // namespace
}  // namespace assertion::cli
