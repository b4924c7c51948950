#include "observe/http_listener.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include "replica.h"
#include "softhsm.h"

namespace assertion {
namespace {

HttpListener::Options Local() { return {.field = "http_listen", .host = "127.0.0.1"}; }

// What it publishes is tested end to end; here is what cannot be brought about from outside.
TEST(HttpListener, IsReadyUnlessAPartSaysWhyNot) {
  LoggedInSoftHsm hsm;
  const auto certifier = *x509::Certifier::New(SOFTHSM2_MODULE);
  const Time now{std::chrono::seconds(1'800'000'000)};
  Replica replica(hsm.token(), *certifier, {Named("orders")}, now);
  SigningQueue queue(hsm.token(), {});
  HsmGroup hsms;
  hsms.Add(0, replica.With(queue));
  Readiness readiness;
  const auto listener = HttpListener::Start(Local(), HttpPages(HttpPages::Part::kAll, hsms, readiness, {}));
  ASSERT_TRUE(listener) << listener.error().ToString();
  httplib::Client client("127.0.0.1", (*listener)->port());

  readiness.SetNotReady("audit", "the disk is full");
  readiness.SetNotReady("token", "is away");
  auto answer = client.Get("/readyz");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->body, "audit: the disk is full\ntoken: is away\n");

  readiness.SetReady("audit");
  answer = client.Get("/readyz");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "token: is away\n");

  readiness.SetReady("token");
  answer = client.Get("/readyz");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "ready\n");
}

TEST(HttpListener, EndsAtOnceAfterItsStart) {
  LoggedInSoftHsm hsm;
  const auto certifier = *x509::Certifier::New(SOFTHSM2_MODULE);
  const Time now{std::chrono::seconds(1'800'000'000)};
  Replica replica(hsm.token(), *certifier, {Named("orders")}, now);
  SigningQueue queue(hsm.token(), {});
  HsmGroup hsms;
  hsms.Add(0, replica.With(queue));
  const Readiness readiness;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(HttpListener::Start(Local(), HttpPages(HttpPages::Part::kAll, hsms, readiness, {})));
  }
}

}  // namespace
}  // namespace assertion
