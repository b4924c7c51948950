#include "oauth/discovered_endpoints.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace assertion::oauth {
namespace {

constexpr const char* kIssuerOfTest = "https://is.example.com";

class DiscoveredEndpointsTest : public ::testing::Test {
 protected:
  std::string Find(const std::string& ca_file = "ca.pem") {
    const auto url = endpoints_.Find(kIssuerOfTest, ca_file);
    return url ? url->origin + url->path : url.error().message;
  }

  std::atomic<DiscoveredEndpoints::Clock::time_point> now_ = DiscoveredEndpoints::Clock::time_point();
  std::atomic<int> readings_ = 0;
  std::function<void()> while_reading_ = [] {};
  std::string published_ = "https://is.example.com/token";
  DiscoveredEndpoints endpoints_{
      [this](const std::string& issuer, const std::string& /*ca_file*/) -> Result<ServerMetadata> {
        ++readings_;
        while_reading_();
        if (published_ == "nothing") {
          return Fail(Code::kNotFound, "nothing");
        }
        ServerMetadata metadata;
        metadata.issuer = issuer;
        metadata.token_endpoint = published_;
        return metadata;
      },
      [this] { return now_.load(); }};
};

TEST_F(DiscoveredEndpointsTest, AreKeptForAnHourForEachFileOfAuthorities) {
  EXPECT_EQ(Find(), "https://is.example.com/token");
  published_ = "https://is.example.com/moved";
  now_ = now_.load() + DiscoveredEndpoints::kKept - std::chrono::milliseconds(1);
  EXPECT_EQ(Find(), "https://is.example.com/token");
  EXPECT_EQ(readings_, 1);
  EXPECT_EQ(Find("other.pem"), "https://is.example.com/moved") << "found under other authorities";
  now_ = now_.load() + std::chrono::milliseconds(1);
  EXPECT_EQ(Find(), "https://is.example.com/moved");
  EXPECT_EQ(readings_, 3);
}

TEST_F(DiscoveredEndpointsTest, AreReadAgainAfterADoubt) {
  endpoints_.Doubt(kIssuerOfTest, "ca.pem");
  EXPECT_EQ(Find(), "https://is.example.com/token");
  published_ = "https://is.example.com/moved";
  endpoints_.Doubt(kIssuerOfTest, "ca.pem");
  EXPECT_EQ(Find(), "https://is.example.com/moved");
}

TEST_F(DiscoveredEndpointsTest, FailuresAreNotKept) {
  published_ = "nothing";
  EXPECT_EQ(Find(), "nothing");
  published_ = "http://is.example.com/token";
  EXPECT_NE(Find().find("must be https://"), std::string::npos);
  published_ = "";
  EXPECT_NE(Find().find("no token_endpoint"), std::string::npos);
  published_ = "https://is.example.com/token";
  EXPECT_EQ(Find(), published_);
  EXPECT_EQ(readings_, 4);
}

TEST_F(DiscoveredEndpointsTest, AreReadOnceForAllThreads) {
  constexpr int kThreadsOfTest = 8;
  std::latch reading(1);
  std::latch may_end(1);
  while_reading_ = [&] {
    reading.count_down();
    may_end.wait();
  };
  std::atomic<int> found = 0;
  {
    std::vector<std::jthread> threads;
    threads.emplace_back([&] { found += Find() == published_ ? 1 : 0; });
    reading.wait();
    endpoints_.Doubt(kIssuerOfTest, "ca.pem");  // says nothing of what is being read
    for (int i = 1; i < kThreadsOfTest; ++i) {
      threads.emplace_back([&] { found += Find() == published_ ? 1 : 0; });
    }
    may_end.count_down();
  }
  EXPECT_EQ(found, kThreadsOfTest);
  EXPECT_EQ(readings_, 1);
}

}  // namespace
}  // namespace assertion::oauth
