#include "service/access_token_service.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "assertion/clock.h"
#include "assertion/token_source.h"
#include "audit/log_fixture.h"
#include "x509/openssl.h"

namespace assertion::service {
namespace {

// Its identity server never answers.
class AccessTokenServiceTest : public audit::LogFixture {
 protected:
  static constexpr const char* kCaller = "uid:1000";

  static std::shared_ptr<const Policy> PolicyOfOrders() {
    Client orders;
    orders.client_id = "orders";
    orders.callers = {kCaller};
    orders.tokens = std::make_shared<const TokenSource>();
    return std::make_shared<const Policy>(std::vector{orders}, std::vector<Operator>{}, SystemTime, x509::RandomOctets);
  }

  void Ask() {
    v1::GetAccessTokenRequest request;
    request.set_client_id("orders");
    service_.Get({.caller = Caller::Authenticated({kCaller}),
                  .deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60),
                  .trace_id = {},
                  .release = [this](const Result<grpc::ByteBuffer>& /*outcome*/) { ++ended_; }},
                 std::move(request));
  }

  std::unique_ptr<audit::Log> log_ = *Open({.path = {}, .gather = std::chrono::seconds(60)});
  CurrentPolicy policy_{PolicyOfOrders()};
  HsmGroup hsms_;
  int ended_ = 0;
  tokens::AccessTokens tokens_{{.random = x509::RandomOctets, .buy = [](auto&&...) {}, .changed = {}}};
  Peers peers_;
  AwaitedMessages awaited_;
  AccessTokenService service_{policy_, hsms_, &tokens_, peers_, awaited_, {.log = log_.get(), .refusals = nullptr}};
};

// The log waits for lines of calls that end soon: see audit::Log::Expectation.
TEST_F(AccessTokenServiceTest, CallsThatWaitForATokenHoldUpNoLine) {
  for (int call = 0; call < 8; ++call) {
    Ask();
  }
  ASSERT_EQ(ended_, 0);
  auto recorded = std::make_shared<std::promise<Status>>();
  auto durable = recorded->get_future();
  log_->Record(Named("another"), [recorded](const Status& status) { recorded->set_value(status); });
  EXPECT_EQ(durable.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  tokens_.Close();
}

}  // namespace
}  // namespace assertion::service
