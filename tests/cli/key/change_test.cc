#include "cli/key/change.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "assertion/v1/key_admin.grpc.pb.h"

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

// A server of one key, which counts the calls that it answers.
class OneKeyServer final : public v1::KeyAdminService::Service {
 public:
  OneKeyServer() {
    std::filesystem::remove(path_);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~OneKeyServer() override { server_->Shutdown(); }
  OneKeyServer(const OneKeyServer&) = delete;
  OneKeyServer& operator=(const OneKeyServer&) = delete;

  std::string address() const { return "unix:" + path_; }

  grpc::Status ListKeys(grpc::ServerContext* /*context*/, const v1::ListKeysRequest* /*request*/,
                        v1::ListKeysResponse* response) override {
    ++lists;
    auto& key = *response->add_keys();
    key.set_client_id("orders");
    key.set_kid(kKid);
    key.set_version(7);
    (*response->mutable_versions())["orders"] = 3;  // of another HSM
    return grpc::Status::OK;
  }

  grpc::Status RevokeKey(grpc::ServerContext* /*context*/, const v1::RevokeKeyRequest* request,
                         v1::RevokeKeyResponse* /*response*/) override {
    revoked = *request;
    return grpc::Status::OK;
  }

  const std::string kKid = std::string(43, 'k');
  int lists = 0;
  v1::RevokeKeyRequest revoked;

 private:
  const std::string path_ = testing::TempDir() + "/change_test." + std::to_string(getpid());
  std::unique_ptr<grpc::Server> server_;
};

TEST(SendChange, OneListingTellsTheWholeKidAndTheVersion) {
  OneKeyServer server;
  const auto revoke = [&](const std::string& kid, std::optional<std::int64_t> expected) {
    server.lists = 0;
    v1::RevokeKeyRequest request;
    request.set_client_id("orders");
    request.set_kid(kid);
    ChangeFlags flags;
    flags.expected_version = expected;
    EXPECT_TRUE(SendChange(server.address(), &Connection::RevokeKey, request, flags));
    EXPECT_EQ(server.revoked.kid(), server.kKid);
    return server.revoked.change().expected_version();
  };
  EXPECT_EQ(revoke(server.kKid.substr(0, 6), {}), 7);
  EXPECT_EQ(server.lists, 1);
  EXPECT_EQ(revoke(server.kKid, {}), 7);
  EXPECT_EQ(server.lists, 1);
  EXPECT_EQ(revoke(server.kKid.substr(0, 6), 5), 5);
  EXPECT_EQ(server.lists, 1);
  EXPECT_EQ(revoke(server.kKid, 5), 5);
  EXPECT_EQ(server.lists, 0) << "both are known";
}

}  // namespace
}  // namespace assertion::cli
