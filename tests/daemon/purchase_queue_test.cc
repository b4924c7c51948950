#include "daemon/purchase_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace assertion {
namespace {

const std::string kServer = "https://is.example.com";

class PurchaseQueueTest : public testing::Test {
 protected:
  bool Add(const std::string& client, const std::string& origin = kServer) {
    PurchaseQueue::Order order{.wanted = {.client_id = client, .scope = std::to_string(++made_), .resource = {}},
                               .receive = {},
                               .is_unwanted = [this, client] { return left_.contains(client); },
                               .origin = origin};
    return queue_.Add(order);
  }

  // The client of the next purchase, which then runs; empty: none may.
  std::string Start() {
    auto order = queue_.Take();
    if (!order) {
      return "";
    }
    running_.push_back(*std::move(order));
    return running_.back().wanted.client_id;
  }

  bool EndOldest(bool slow = false) {
    const auto order = std::move(running_.front());
    running_.pop_front();
    return queue_.End(order, slow);
  }

  // Its purchases are quick.
  void Prove(const std::string& origin = kServer) {
    Add("prover", origin);
    Start();
    EndOldest();
  }

  PurchaseQueue queue_;
  std::deque<PurchaseQueue::Order> running_;
  std::set<std::string> left_;  // clients whose orders nobody wants any more
  int made_ = 0;
};

TEST_F(PurchaseQueueTest, AClientWithManyOrdersDoesNotDelayAnotherOfTheServer) {
  Prove();
  while (Add("greedy")) {
  }
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(Start(), "greedy");
  }
  ASSERT_EQ(Start(), "") << "more than four at once";
  ASSERT_TRUE(Add("victim"));
  EndOldest();
  EXPECT_EQ(Start(), "victim");
}

TEST_F(PurchaseQueueTest, ClientsTakeTurns) {
  Prove();
  for (int i = 0; i < 20; ++i) {
    Add("a");
  }
  Add("b");
  Add("c");
  Add("b");
  std::vector<std::string> served;
  for (int i = 0; i < 8; ++i) {
    served.push_back(Start());
    EndOldest();
  }
  EXPECT_EQ(served, (std::vector<std::string>{"a", "b", "c", "a", "b", "a", "a", "a"}));
}

TEST_F(PurchaseQueueTest, OrdersOfAClientAreServedAsTheyCame) {
  Prove();  // its order is the first
  for (int i = 0; i < 3; ++i) {
    Add("a");
  }
  for (int i = 0; i < 3; ++i) {
    Start();
    EXPECT_EQ(running_.back().wanted.scope, std::to_string(i + 2));
  }
}

TEST_F(PurchaseQueueTest, AServerThatHangsHoldsUpNoOther) {
  Prove("https://hangs.example.com");
  while (Add("a", "https://hangs.example.com")) {
  }
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(Start(), "a");
  }
  Add("b");
  EXPECT_EQ(Start(), "b");
}

TEST_F(PurchaseQueueTest, ServersThatAreNewGetOneAtOnceEach) {
  for (int server = 0; server < 8; ++server) {
    const auto origin = "https://" + std::to_string(server) + ".example.com";
    for (int order = 0; order < 4; ++order) {
      Add("a" + std::to_string(server), origin);
    }
  }
  int started = 0;
  while (!Start().empty()) {
    ++started;
  }
  EXPECT_EQ(started, 8);
}

TEST_F(PurchaseQueueTest, AClientWithoutAnOrderAlwaysHasRoom) {
  for (int client = 0; client < 10; ++client) {
    while (Add("greedy-" + std::to_string(client))) {
    }
  }
  EXPECT_TRUE(Add("victim"));
  EXPECT_FALSE(Add("victim")) << "the server's orders are without bound";
}

TEST_F(PurchaseQueueTest, ASlowServerGetsOneAtOnceUntilItIsQuick) {
  Prove();
  for (int i = 0; i < 10; ++i) {
    Add("a");
  }
  Start();
  EXPECT_FALSE(EndOldest(/*slow=*/true));
  EXPECT_EQ(Start(), "a");
  EXPECT_EQ(Start(), "");
  EXPECT_TRUE(EndOldest());
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Start(), "a");
  }
  EXPECT_EQ(Start(), "");
}

TEST_F(PurchaseQueueTest, WhatNobodyWantsAnyMoreIsNotBought) {
  Add("gone");
  Add("gone");
  Add("there");
  left_ = {"gone"};
  EXPECT_EQ(Start(), "there");
  EXPECT_EQ(Start(), "");
  left_.clear();
  EndOldest();
  EXPECT_EQ(Start(), "") << "an order that was dropped is back";
}

TEST_F(PurchaseQueueTest, WhatNobodyWantsAnyMoreMakesRoom) {
  while (Add("greedy")) {
  }
  left_ = {"greedy"};  // a reload; now they ask again
  EXPECT_TRUE(Add("greedy"));
  left_.clear();
  std::size_t taken = 1;
  while (Add("greedy")) {
    ++taken;
  }
  EXPECT_EQ(taken, PurchaseQueue::kMostOrdersOfClient);
}

TEST_F(PurchaseQueueTest, AClientThatAReloadMovedDoesNotWaitForItsServerOfBefore) {
  Add("moved", "https://hangs.example");
  ASSERT_EQ(Start(), "moved");
  Add("moved", "https://hangs.example");
  ASSERT_EQ(Start(), "");
  left_ = {"moved"};
  Add("moved");
  left_.clear();
  ASSERT_EQ(Start(), "moved");
  EXPECT_EQ(running_.back().origin, kServer);
}

TEST_F(PurchaseQueueTest, AStopTakesWhatWaitsAndNotWhatRuns) {
  Add("a");
  Add("a");
  Add("b");
  Start();
  EXPECT_EQ(queue_.TakeAll().size(), 2U);
  EXPECT_EQ(Start(), "");
  EXPECT_TRUE(EndOldest());
  EXPECT_TRUE(Add("a"));
}

}  // namespace
}  // namespace assertion
