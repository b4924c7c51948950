#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "tokens/access_tokens.h"

namespace assertion {

// The purchases that wait, and which is next: each server runs a few at once, and the clients of a server take turns.
// Not for several threads at once.
class PurchaseQueue {
 public:
  static constexpr std::size_t kMostAtOnce = 4;  // of one server whose last purchase was quick, and else 1
  static constexpr std::size_t kMostOrders = 1000;
  static constexpr std::size_t kMostOrdersOfOrigin = 250;
  static constexpr std::size_t kMostOrdersOfClient = 125;

  struct Order {
    tokens::Wanted wanted;
    tokens::AccessTokens::Receive receive;
    tokens::AccessTokens::IsUnwanted is_unwanted;  // asked when another needs its room, and when its turn comes
    std::string origin;                            // of the token endpoint or the issuer
  };

  // Takes the order, or returns false and leaves it. Orders that nobody wants any more make room. A client without a
  // waiting order always has room.
  bool Add(Order& order);

  // Starts a purchase: of the client that has the fewest running ones, and of those whose turn is longest ago. Nothing:
  // none waits whose server has one to spare. Orders that nobody wants any more are dropped.
  std::optional<Order> Take();

  // Ends a purchase. A server that is new, or whose last one was slow, gets one at once: many that hang would hold up
  // the others. True: it may run several from now on.
  bool End(const Order& order, bool slow);

  // All that wait.
  std::deque<Order> TakeAll();

 private:
  struct Line {
    std::deque<Order> orders;
    std::size_t running = 0;
    std::uint64_t turn = 0;  // the last
  };

  using Lines = std::map<std::string, Line>;

  bool HasRoom(const Order& order) const;
  void DropUnwanted();
  Lines::iterator Next();
  Lines::iterator EraseIfIdle(Lines::iterator line);
  bool MayRun(const std::string& origin) const;

  Lines lines_;  // by client id; none without a waiting or running purchase
  std::uint64_t turns_ = 0;
  std::size_t waiting_ = 0;
  std::map<std::string, std::size_t> waiting_of_;  // by origin
  std::map<std::string, std::size_t> running_of_;
  std::set<std::string> quick_;  // origins
};

}  // namespace assertion
