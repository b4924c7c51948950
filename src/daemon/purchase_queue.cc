#include "daemon/purchase_queue.h"

#include <tuple>
#include <utility>

namespace assertion {
namespace {

using CountsByOrigin = std::map<std::string, std::size_t>;

std::size_t CountOf(const CountsByOrigin& counts, const std::string& origin) {
  const auto found = counts.find(origin);
  return found == counts.end() ? 0 : found->second;
}

void CountDown(CountsByOrigin& counts, const std::string& origin) {
  if (const auto found = counts.find(origin); --found->second == 0) {
    counts.erase(found);
  }
}

}  // namespace

bool PurchaseQueue::HasRoom(const Order& order) const {
  const auto line = lines_.find(order.wanted.client_id);
  if (line == lines_.end() || line->second.orders.empty()) {
    return true;  // the number of clients bounds these
  }
  return line->second.orders.size() < kMostOrdersOfClient && waiting_ < kMostOrders &&
         CountOf(waiting_of_, order.origin) < kMostOrdersOfOrigin;
}

PurchaseQueue::Lines::iterator PurchaseQueue::EraseIfIdle(Lines::iterator line) {
  return line->second.running == 0 && line->second.orders.empty() ? lines_.erase(line) : std::next(line);
}

void PurchaseQueue::DropUnwanted() {
  for (auto line = lines_.begin(); line != lines_.end(); line = EraseIfIdle(line)) {
    std::erase_if(line->second.orders, [this](const Order& order) {
      const bool unwanted = order.is_unwanted();
      if (unwanted) {
        --waiting_;
        CountDown(waiting_of_, order.origin);
      }
      return unwanted;
    });
  }
}

bool PurchaseQueue::Add(Order& order) {
  // Orders of before a reload may name another server, whose hang would hold up this one.
  const auto before = lines_.find(order.wanted.client_id);
  const bool moved =
      before != lines_.end() && !before->second.orders.empty() && before->second.orders.front().origin != order.origin;
  if (moved || !HasRoom(order)) {
    DropUnwanted();
    if (!HasRoom(order)) {
      return false;
    }
  }
  const auto [line, is_new] = lines_.try_emplace(order.wanted.client_id);
  if (is_new) {
    line->second.turn = ++turns_;
  }
  ++waiting_;
  ++waiting_of_[order.origin];
  line->second.orders.push_back(std::move(order));
  return true;
}

bool PurchaseQueue::MayRun(const std::string& origin) const {
  return CountOf(running_of_, origin) < (quick_.contains(origin) ? kMostAtOnce : 1);
}

// The end: none may run.
PurchaseQueue::Lines::iterator PurchaseQueue::Next() {
  auto next = lines_.end();
  for (auto one = lines_.begin(); one != lines_.end(); ++one) {
    const auto& line = one->second;
    const bool may_run = !line.orders.empty() && MayRun(line.orders.front().origin);
    if (may_run && (next == lines_.end() ||
                    std::tie(line.running, line.turn) < std::tie(next->second.running, next->second.turn))) {
      next = one;
    }
  }
  return next;
}

std::optional<PurchaseQueue::Order> PurchaseQueue::Take() {
  for (auto next = Next(); next != lines_.end(); next = Next()) {
    auto& line = next->second;
    auto order = std::move(line.orders.front());
    line.orders.pop_front();
    --waiting_;
    CountDown(waiting_of_, order.origin);
    if (order.is_unwanted()) {
      EraseIfIdle(next);
      continue;
    }
    ++line.running;
    line.turn = ++turns_;
    ++running_of_[order.origin];
    return order;
  }
  return std::nullopt;
}

bool PurchaseQueue::End(const Order& order, bool slow) {
  CountDown(running_of_, order.origin);
  const auto line = lines_.find(order.wanted.client_id);
  --line->second.running;
  EraseIfIdle(line);
  if (slow) {
    quick_.erase(order.origin);
    return false;
  }
  return quick_.insert(order.origin).second;
}

std::deque<PurchaseQueue::Order> PurchaseQueue::TakeAll() {
  std::deque<Order> all;
  for (auto line = lines_.begin(); line != lines_.end(); line = EraseIfIdle(line)) {
    for (auto& order : line->second.orders) {
      all.push_back(std::move(order));
    }
    line->second.orders.clear();
  }
  waiting_ = 0;
  waiting_of_.clear();
  return all;
}

}  // namespace assertion
