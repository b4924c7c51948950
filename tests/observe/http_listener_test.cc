#include "observe/http_listener.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <new>
#include <string>
#include <string_view>

#include "assertion/descriptor.h"
#include "replica.h"
#include "softhsm.h"

namespace {

// An answer's body, and how often memory that begins with it was freed.
constexpr std::string_view kMarker = "an access token that must not stay in memory, ";
std::atomic<int> freed_with_marker = 0;

}  // namespace

void* operator new(std::size_t size) {
  if (void* const made = std::malloc(size == 0 ? 1 : size)) {
    return made;
  }
  throw std::bad_alloc();
}

// Of the same kind: AddressSanitizer wants each piece freed in the way of its allocation.
void* operator new(std::size_t size, const std::nothrow_t& /*nothrow*/) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}

void operator delete(void* memory) noexcept {
  if (memory != nullptr && malloc_usable_size(memory) >= kMarker.size() &&
      std::string_view(static_cast<const char*>(memory), kMarker.size()) == kMarker) {
    ++freed_with_marker;
  }
  std::free(memory);
}

void operator delete(void* memory, std::size_t /*size*/) noexcept { operator delete(memory); }

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

// A purchase of an access token may outlast the listener.
TEST(HttpListener, WipesAnAnswerThatComesAfterItsEnd) {
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(socket.get(), place, sizeof address.sun_family), 0);  // the kernel chooses a name
  socklen_t size = sizeof address;
  ASSERT_EQ(getsockname(socket.get(), place, &size), 0);
  std::promise<HttpReply> asked;
  auto listener =
      HttpListener::Start(HttpListener::Local{.field = "token_listen",
                                              .socket = socket.get(),
                                              .limits = {.total = 1, .per_source = 1},
                                              .user = [](int /*fd*/) { return uid_t{0}; },
                                              .listed = [](uid_t /*user*/) { return true; },
                                              .charge = [](uid_t /*user*/) { return true; },
                                              .handler =
                                                  [&asked](const HttpRequest& /*request*/, HttpReply reply) {
                                                    asked.set_value(std::move(reply));
                                                    return std::function<void()>();
                                                  }});
  ASSERT_TRUE(listener) << listener.error().ToString();
  const Descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(client.get(), place, size), 0);
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(send(client.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL), static_cast<ssize_t>(kRequest.size()));
  auto reply = asked.get_future().get();
  listener->reset();
  std::string body(kMarker);
  freed_with_marker = 0;
  reply({.status = 200, .body = std::move(body)});
  reply = nullptr;
  EXPECT_EQ(freed_with_marker, 0);
}

}  // namespace
}  // namespace assertion
