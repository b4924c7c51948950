// Server: socket, health, reflection, limits of connections, stop.

#include <grpcpp/generic/generic_stub.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/descriptor.h"
#include "client_stream.h"
#include "held_server_fixture.h"
#include "partial_call.h"

namespace assertion::service {
namespace {

class ServerTest : public ServerFixture {};
class LimitedServerTest : public LimitedServerFixture {};
class HeldServerTest : public HeldServerFixture {};

TEST_F(ServerTest, HealthAndReflectionAnswer) {
  std::string health;
  EXPECT_TRUE(CallRaw("/grpc.health.v1.Health/Check", "", &health).ok());
  EXPECT_EQ(health, "\x08\x01");  // grpc.health.v1.HealthCheckResponse { status: SERVING }
  EXPECT_EQ(CallRaw("/grpc.health.v1.Health/Check", "\x0a\x01x").error_code(), StatusCode::NOT_FOUND);
  EXPECT_NE(CallRaw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "").error_code(),
            StatusCode::UNIMPLEMENTED);
}

TEST_F(ServerTest, ConcurrentReflectionCallsOfAPeerAreLimited) {
  const auto channel = grpc::CreateChannel("unix:" + socket(), grpc::experimental::LocalCredentials(UDS));
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel);
  grpc::CompletionQueue queue;
  constexpr std::size_t kCalls = 3;
  std::array<grpc::ClientContext, kCalls> contexts;
  std::array<grpc::Status, kCalls> statuses;
  std::vector<std::unique_ptr<grpc::GenericClientAsyncReaderWriter>> calls;
  const auto next = [&]() -> void* {
    void* tag = nullptr;
    bool ok = false;
    do {
      if (queue.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + std::chrono::seconds(30)) !=
          grpc::CompletionQueue::GOT_EVENT) {
        return nullptr;
      }
    } while (tag == nullptr);
    return tag;
  };
  for (std::size_t i = 0; i < kCalls; ++i) {
    calls.push_back(
        stub.PrepareCall(&contexts.at(i), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue));
    calls.back()->StartCall(nullptr);
    calls.back()->Finish(&statuses.at(i), &statuses.at(i));
  }
  const auto* const refused = static_cast<const grpc::Status*>(next());
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->error_code(), StatusCode::CANCELLED) << refused->error_message();
  for (auto& context : contexts) {
    context.TryCancel();
  }
  EXPECT_NE(next(), nullptr);
  EXPECT_NE(next(), nullptr);
}

TEST_F(ServerTest, TheSocketHasMode0660) {
  struct stat info{};
  ASSERT_EQ(stat(socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0660U);
}

TEST_F(ServerTest, ASocketInUseIsNotTakenOver) {
  const auto second = StartServer(socket(), *hsms_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAddressUnusable);
  EXPECT_NE(second.error().message.find("another server"), std::string::npos);
  EXPECT_EQ(Create().error_code(), StatusCode::FAILED_PRECONDITION);  // the first server still answers
}

TEST_F(ServerTest, AFileOrAWritableFolderIsNoPlaceForTheSocket) {
  const auto expect = [&](const std::string& path, const std::string& part) {
    const auto server = StartServer(path, *hsms_);
    ASSERT_FALSE(server) << path;
    EXPECT_EQ(server.error().code, Code::kAddressUnusable);
    EXPECT_NE(server.error().message.find(part), std::string::npos) << server.error().message;
  };
  const auto file = hsm_.Write("file", "content");
  expect(file, "something else than a socket");
  EXPECT_EQ(std::filesystem::file_size(file), 7U);
  std::filesystem::create_directory(hsm_.directory() / "open");
  std::filesystem::permissions(hsm_.directory() / "open", std::filesystem::perms::all);
  expect(hsm_.directory() / "open" / "s", "writable by everybody");
  expect(hsm_.directory() / "absent" / "folder" / "s", "/absent does not exist; make it: mkdir -p -m 755 ");
  std::filesystem::permissions(hsm_.directory() / "open", std::filesystem::perms(0770));
  expect(hsm_.directory() / "open" / "s", "writable by its group, whose members could put something else there: chmod");
}

TEST_F(LimitedServerTest, AConnectionEndsAtItsMaximumAgeDespiteOpenCalls) {
  const auto stub = Start({.connection_age = std::chrono::milliseconds(200),
                           .connection_grace = std::chrono::milliseconds(100),
                           .stream_age = std::chrono::hours(1),
                           .message_wait = std::chrono::hours(1)});
  PartialCall call(channel_, "/assertion.v1.AssertionService/CreateAssertion");
  const auto answers = ClientStream(*stub, {}, false).Finish();
  EXPECT_EQ(answers.status.error_code(), StatusCode::UNAVAILABLE) << answers.status.error_message();
  const auto status = call.Finish();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
}

TEST_F(HeldServerTest, StopAnswersEveryAcceptedCall) {
  constexpr std::size_t kCalls = 40;
  std::vector<std::future<grpc::Status>> results;
  for (std::size_t i = 0; i < kCalls; ++i) {
    results.push_back(CallLater());
  }
  AwaitTaken(kCalls);
  std::jthread stopping([&] { held_server_->Stop(std::chrono::seconds(30)); });
  Release();
  for (auto& result : results) {
    const auto status = result.get();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  stopping.join();
  EXPECT_FALSE(std::filesystem::exists(PathOf("held.sock")));
}

// A connection that reads nothing unless it is asked to, as a Python client between its calls.
class MuteClient {
 public:
  explicit MuteClient(const std::string& path) : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    constexpr std::string_view kPrefaceAndSettings("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
    constexpr timeval kPatience{.tv_sec = 10, .tv_usec = 0};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(send(socket_.get(), kPrefaceAndSettings.data(), kPrefaceAndSettings.size(), MSG_NOSIGNAL), 33);
    EXPECT_GT(Read(), 0);  // gRPC's settings: it has the connection
  }

  // Whether the connection ends within 10 s.
  bool Ends() {
    auto count = Read();
    while (count > 0) {
      count = Read();
    }
    return count == 0;
  }

  // Whether a frame of this type (RFC 9113 section 6) was read.
  bool Got(char type) const {
    constexpr std::size_t kHead = 9;
    for (std::size_t at = 0; at + kHead <= read_.size();) {
      const auto octet = [&](std::size_t i) {
        return static_cast<std::size_t>(static_cast<unsigned char>(read_[at + i]));
      };
      if (read_[at + 3] == type) {
        return true;
      }
      at += kHead + (octet(0) << 16U) + (octet(1) << 8U) + octet(2);
    }
    return false;
  }

 private:
  ssize_t Read() {
    std::array<char, 4096> piece{};
    const auto count = recv(socket_.get(), piece.data(), piece.size(), 0);
    read_.append(piece.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return count;
  }

  const Descriptor socket_;
  std::string read_;
};

TEST_F(HeldServerTest, AStopEndsConnectionsWithoutACallAndNoOthers) {
  constexpr char kGoAway = 7;
  MuteClient idle(PathOf("held.sock"));
  auto call = CallLater();
  const auto stub = v1::AssertionService::NewStub(ChannelTo(PathOf("held.sock")));
  ClientStream stream(*stub, Requests(1), /*close=*/false);
  AwaitTaken(2);
  std::jthread stopping([&] { held_server_->Stop(std::chrono::seconds(30)); });
  EXPECT_TRUE(idle.Ends());
  EXPECT_TRUE(idle.Got(kGoAway));
  Release();
  const auto status = call.get();
  EXPECT_TRUE(status.ok()) << status.error_message();
  const auto answer = stream.Next();
  EXPECT_TRUE(answer && answer->has_assertion());
}

// The number of gRPC's threads that wait for calls, and how many of them sleep.
std::pair<int, int> WaitingThreads() {
  std::pair<int, int> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    long call = -1;
    std::ifstream(task.path() / "comm") >> name;
    std::ifstream(task.path() / "syscall") >> call;
    if (name.starts_with("nexting_thread")) {
      ++found.first;
      found.second += call == SYS_clock_nanosleep || call == SYS_nanosleep ? 1 : 0;
    }
  }
  return found;
}

// gRPC's threads would all sleep from 1 s to 1.1 s after the last call, and delay a call that comes then.
TEST_F(ServerTest, AnIdleServerKeepsAThreadAwake) {
  const auto begun = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (WaitingThreads().first < 2) {
    ASSERT_LT(std::chrono::steady_clock::now(), begun) << "gRPC has renamed its threads";
    std::this_thread::yield();
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(2500);
  while (std::chrono::steady_clock::now() < end) {
    const auto [threads, asleep] = WaitingThreads();
    ASSERT_LT(asleep, threads);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace
}  // namespace assertion::service
