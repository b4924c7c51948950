#include "oauth/addresses.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <future>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace assertion::oauth {
namespace {

using Clock = std::chrono::steady_clock;
using Addresses = AddressBook::Addresses;

constexpr std::chrono::hours kLong{1};

// A name service that answers when the test says so. Threads that are left behind own it.
struct NameService {
  std::counting_semaphore<> asked{0};
  std::counting_semaphore<> may_answer{0};
  std::atomic<int> times = 0;
  Addresses answer = {"192.0.2.1", "2001:db8::1"};

  static AddressBook::LookUp Of(const std::shared_ptr<NameService>& service) {
    return [service](const std::string& /*host*/) {
      ++service->times;
      service->asked.release();
      service->may_answer.acquire();
      return service->answer;
    };
  }
};

class AddressBookTest : public testing::Test {
 protected:
  Result<Addresses> Find(const std::string& host = "is.example.com", std::stop_token given_up = {}) {
    return book_.Find(host, Clock::now() + kLong, given_up);
  }

  std::shared_ptr<NameService> service_ = std::make_shared<NameService>();
  AddressBook book_{NameService::Of(service_)};
};

TEST_F(AddressBookTest, AllWhoWantANameAtTheSameTimeShareOneLookUp) {
  std::vector<std::future<Result<Addresses>>> waiting;
  waiting.push_back(std::async(std::launch::async, [this] { return Find(); }));
  service_->asked.acquire();
  // These come while the first waits, or after it was answered. They must not start a look-up of their own before.
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(book_.Find("is.example.com", Clock::now(), {}));
  }
  EXPECT_EQ(service_->times, 1);
  service_->may_answer.release();
  EXPECT_EQ(waiting.front().get().value(), service_->answer);
}

TEST_F(AddressBookTest, AnAnswerIsNotKept) {
  service_->may_answer.release(2);
  EXPECT_TRUE(Find());
  EXPECT_TRUE(Find());
  EXPECT_EQ(service_->times, 2);
}

TEST_F(AddressBookTest, NamesDoNotWaitForEachOther) {
  EXPECT_FALSE(book_.Find("hangs.example.com", Clock::now(), {}));
  service_->asked.acquire();
  auto other = std::async(std::launch::async, [this] { return Find("answers.example.com"); });
  service_->asked.acquire();
  service_->may_answer.release(2);
  EXPECT_TRUE(other.get());
}

TEST_F(AddressBookTest, LookUpsUnderWayAreBounded) {
  const auto ask = [this](std::size_t number) {
    return book_.Find(std::to_string(number) + ".example.com", Clock::now(), {}).error().message;
  };
  for (std::size_t i = 0; i < AddressBook::kMostLookUps; ++i) {
    EXPECT_EQ(ask(i), "this machine's name service does not answer in time");
    service_->asked.acquire();
  }
  EXPECT_TRUE(ask(AddressBook::kMostLookUps).ends_with("too many names wait for it"));
  EXPECT_EQ(ask(0), "this machine's name service does not answer in time") << "a look-up that is under way is shared";
  EXPECT_EQ(service_->times, static_cast<int>(AddressBook::kMostLookUps));
  service_->may_answer.release(static_cast<std::ptrdiff_t>(AddressBook::kMostLookUps));
}

TEST_F(AddressBookTest, AStopEndsTheWaitForANameServiceThatHangs) {
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] { return Find("is.example.com", stop.get_token()); });
  service_->asked.acquire();
  stop.request_stop();
  const auto found = waiting.get();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kUnavailable);
  EXPECT_EQ(found.error().message, "the program stops");
  service_->may_answer.release();
}

TEST_F(AddressBookTest, ALookUpMayOutliveTheBook) {
  auto book = std::make_unique<AddressBook>(NameService::Of(service_));
  EXPECT_EQ(book->Find("is.example.com", Clock::now(), {}).error().message,
            "this machine's name service does not answer in time");
  service_->asked.acquire();
  book.reset();
  service_->may_answer.release();
}

TEST_F(AddressBookTest, AHostWithoutAnAddressIsNone) {
  service_->answer.clear();
  service_->may_answer.release();
  const auto found = Find();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "this machine finds no host of that name");
}

TEST(NameServiceOfThisMachine, KnowsItself) {
  const auto found = AddressBook().Find("localhost", Clock::now() + kLong, {});
  ASSERT_TRUE(found) << found.error().message;
  for (const auto& address : *found) {
    EXPECT_TRUE(address == "127.0.0.1" || address == "::1") << address;
  }
  EXPECT_FALSE(AddressBook().Find("no-such-host.invalid", Clock::now() + kLong, {}));
}

}  // namespace
}  // namespace assertion::oauth
