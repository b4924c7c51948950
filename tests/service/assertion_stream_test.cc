// CreateAssertions over a Unix socket, with SoftHSM2.

#include <algorithm>
#include <chrono>
#include <future>
#include <set>
#include <thread>

#include "client_stream.h"
#include "google/rpc/error_details.pb.h"
#include "held_server_fixture.h"
#include "jws/compact.h"

namespace assertion::service {
namespace {

class AssertionStreamTest : public ServerFixture {};
class LimitedAssertionStreamTest : public LimitedServerFixture {};
class BusyAssertionStreamTest : public BusyServerFixture {};
class HeldAssertionStreamTest : public HeldServerFixture {};

TEST_F(AssertionStreamTest, ABadRequestFailsAlone) {
  GenerateOrdersKey();
  auto late = RequestWithTag(4);
  late.mutable_timeout()->set_seconds(31);
  auto never = RequestWithTag(5);
  never.mutable_timeout()->set_nanos(0);
  auto backwards = RequestWithTag(6);
  backwards.mutable_timeout()->set_nanos(-1);
  v1::CreateAssertionsRequest nothing;
  nothing.set_tag(3);
  const auto answers = ClientStream(assertions_, {RequestWithTag(1), RequestWithTag(2, "nobody"), nothing, late, never,
                                                  backwards, RequestWithTag(1)})
                           .Finish();
  EXPECT_TRUE(answers.status.ok()) << answers.status.error_message();
  EXPECT_EQ(answers.count, 7U) << "a tag may come again";
  EXPECT_TRUE(answers.by_tag.at(1).has_assertion());
  EXPECT_EQ(answers.CodeOf(2), StatusCode::NOT_FOUND);
  EXPECT_EQ(answers.by_tag.at(2).error().message(), "client_id: no client \"nobody\" is configured");
  for (const auto tag : {3U, 4U, 5U, 6U}) {
    EXPECT_EQ(answers.CodeOf(tag), StatusCode::INVALID_ARGUMENT) << tag;
  }
  EXPECT_EQ(Audited("CreateAssertion").size(), 7U);
}

TEST_F(AssertionStreamTest, EachRequestOfAnUnlistedCallerIsRefused) {
  GenerateOrdersKey();
  auto clients = Clients();
  clients.front().callers.clear();
  SetPolicy(clients);
  const auto answers = ClientStream(assertions_, {RequestWithTag(1), RequestWithTag(2, "keyless")}).Finish();
  EXPECT_EQ(answers.CodeOf(1), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(answers.CodeOf(2), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Audited("CreateAssertion").front()["caller"], OwnIdentity());
}

TEST_F(AssertionStreamTest, AnInvalidMessageEndsTheStream) {
  const auto status = CallRaw("/assertion.v1.AssertionService/CreateAssertions", "\xff\xff\xff");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
}

TEST_F(LimitedAssertionStreamTest, AnIdleStreamEndsAtItsMaximumAge) {
  const auto stub = Start({.stream_age = std::chrono::milliseconds(100)});
  const auto answers = ClientStream(*stub, {}, false).Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(answers.status.error_message(), "a stream is read for 5 minutes: open another");
}

TEST_F(LimitedAssertionStreamTest, RemovingACallerFromThePolicyEndsItsStreams) {
  const auto stub = Start({.refresh_interval = std::chrono::milliseconds(50)});
  ClientStream stream(*stub, {RequestWithTag(1)}, false);
  ASSERT_TRUE(stream.Next());  // the caller was admitted
  auto clients = Clients();
  for (auto& client : clients) {
    client.callers = {"uid:4294967294"};
  }
  SetPolicy(clients);
  const auto answers = stream.Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE) << answers.status.error_message();
}

TEST_F(BusyAssertionStreamTest, EachRequestHasItsOwnTimeoutAndRefusal) {
  auto soon = RequestWithTag(1);
  soon.mutable_timeout()->set_seconds(2);
  ClientStream stream(stub_, {soon, RequestWithTag(2)});
  auto answers = std::async(std::launch::async, [&] { return stream.Finish(); });
  while (Audited("CreateAssertion").size() < 2) {  // one refused by the full queue, one timed out
    std::this_thread::yield();
  }
  Release();
  const auto found = answers.get();
  EXPECT_TRUE(found.status.ok());
  EXPECT_EQ(found.CodeOf(1), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(found.CodeOf(2), StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  ASSERT_EQ(found.by_tag.at(2).error().details_size(), 1);
  EXPECT_TRUE(found.by_tag.at(2).error().details(0).UnpackTo(&retry));
}

TEST_F(BusyAssertionStreamTest, ACancelledStreamLeavesTheQueue) {
  ClientStream stream(stub_, {RequestWithTag(1)}, /*close=*/false);
  AwaitFullQueue();
  stream.context().TryCancel();
  EXPECT_EQ(stream.Finish().status.error_code(), StatusCode::CANCELLED);
  AwaitEmptyQueue();
  Release();
  EXPECT_TRUE(first_.get().ok());
  EXPECT_EQ(held_.signing(), 1);
}

TEST_F(HeldAssertionStreamTest, EveryRequestIsAnsweredWithItsTag) {
  Release();
  constexpr std::size_t kCalls = 600;  // more than a stream may have unanswered
  const auto answers = ClientStream(stub_, Requests(kCalls)).Finish();
  EXPECT_TRUE(answers.status.ok()) << answers.status.error_message();
  EXPECT_EQ(answers.count, kCalls);
  ASSERT_EQ(answers.by_tag.size(), kCalls);
  std::set<std::string> jtis;
  const auto key = *keys_->SigningKeyOf("orders");
  for (const auto& [tag, answer] : answers.by_tag) {
    const auto parsed = jws::ParseCompact(answer.assertion().assertion());
    ASSERT_TRUE(parsed) << tag << ": " << answer.error().message();
    EXPECT_TRUE(key->verifier.Verify(parsed->signing_input, parsed->signature));
    EXPECT_EQ(parsed->claims["jti"], answer.assertion().jti());
    jtis.insert(answer.assertion().jti());
  }
  EXPECT_EQ(jtis.size(), kCalls);
  EXPECT_EQ(Audited("CreateAssertion").size(), kCalls);
}

TEST_F(HeldAssertionStreamTest, ReadingPausesAtTheLimitOfUnansweredRequests) {
  constexpr std::size_t kMost = 256;
  ClientStream stream(stub_, Requests(2 * kMost));
  auto answers = std::async(std::launch::async, [&] { return stream.Finish(); });
  AwaitTaken(kMost);
  for (int i = 0; i < 50; ++i) {  // other calls are served meanwhile, and give the server time to read too much
    grpc::ClientContext context;
    v1::GetJwksRequest request;
    request.set_client_id("orders");
    v1::GetJwksResponse response;
    EXPECT_TRUE(stub_.GetJwks(&context, request, &response).ok());
  }
  EXPECT_EQ(taken(), kMost);
  Release();
  const auto found = answers.get();
  EXPECT_TRUE(found.status.ok());
  EXPECT_EQ(found.by_tag.size(), 2 * kMost);
}

// The HSM holds the request until its timeout. A stop that does not wait for it destroys the log before its line.
TEST_F(HeldAssertionStreamTest, ACancelledStreamEndsAfterTheLineOfWhatTheHsmHas) {
  auto request = RequestWithTag(1);
  request.mutable_timeout()->set_seconds(1);
  ClientStream stream(stub_, {request}, /*close=*/false);
  while (held_.signing() == 0) {
    std::this_thread::yield();
  }
  stream.context().TryCancel();
  EXPECT_EQ(stream.Finish().status.error_code(), StatusCode::CANCELLED);
  held_server_->Stop(std::chrono::seconds(0));
  const auto audited = Audited("CreateAssertion");
  ASSERT_EQ(audited.size(), 1U);
  EXPECT_EQ(audited.front()["outcome"], "DEADLINE_EXCEEDED");
}

// We look for the last answer in the audit log: gRPC's client may drop unread answers when an error ends the stream.
TEST_F(HeldAssertionStreamTest, StopEndsStreamsAfterTheirAnswers) {
  constexpr std::size_t kTaken = 40;
  ClientStream stream(stub_, Requests(kTaken), /*close=*/false);
  ClientStream idle(stub_, {}, /*close=*/false);
  AwaitTaken(kTaken);
  std::jthread stopping([&] { held_server_->Stop(std::chrono::seconds(30)); });
  EXPECT_EQ(idle.Finish().status.error_code(), StatusCode::UNAVAILABLE);
  held_.LetPass(kTaken - 1);
  std::set<std::uint64_t> tags;
  while (tags.size() < kTaken - 1) {
    const auto answer = stream.Next();
    ASSERT_TRUE(answer) << "the stream ended after " << tags.size();
    EXPECT_TRUE(answer->has_assertion());
    tags.insert(answer->tag());
  }
  Release();
  EXPECT_EQ(stream.Finish().status.error_code(), StatusCode::UNAVAILABLE);
  const auto audited = Audited("CreateAssertion");
  EXPECT_EQ(audited.size(), kTaken);
  EXPECT_TRUE(std::ranges::all_of(audited, [](const auto& line) { return line["outcome"] == "OK"; }));
}

}  // namespace
}  // namespace assertion::service
