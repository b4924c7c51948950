#include "p11/object_gate.h"

namespace assertion::p11 {

using std::chrono::steady_clock;

ObjectGate::Look::Look(ObjectGate& gate) : gate_(gate) {
  std::unique_lock lock(gate_.mutex_);
  // From the change's beginning, not from ours: a change that hangs delays one look, not each.
  while (gate_.changes_ > 0 && steady_clock::now() < gate_.changing_since_ + gate_.patience_) {
    gate_.moved_.wait_until(lock, gate_.changing_since_ + gate_.patience_);
  }
  ++gate_.looks_;
}

ObjectGate::Look::~Look() {
  const std::lock_guard lock(gate_.mutex_);
  --gate_.looks_;
  gate_.moved_.notify_all();
}

ObjectGate::Change::Change(ObjectGate& gate) : gate_(gate) {
  std::unique_lock lock(gate_.mutex_);
  const auto deadline = steady_clock::now() + gate_.patience_;
  gate_.moved_.wait_until(lock, deadline, [this] { return gate_.changes_ == 0; });
  ++gate_.changes_;
  gate_.changing_since_ = steady_clock::now();
  gate_.moved_.wait_until(lock, deadline, [this] { return gate_.looks_ == 0; });
}

ObjectGate::Change::~Change() {
  const std::lock_guard lock(gate_.mutex_);
  --gate_.changes_;
  gate_.moved_.notify_all();
}

}  // namespace assertion::p11
