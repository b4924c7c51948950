#include "p11/object_gate.h"

#include <algorithm>

namespace assertion::p11 {

using std::chrono::steady_clock;

steady_clock::time_point ObjectGate::HeldReadersUntil() const {
  const MutexLock lock(mutex_);
  return writers_ == 0 ? held_until_ : std::min(steady_clock::now(), latest_write_ + patience_);
}

bool ObjectGate::IsWriting() const {
  constexpr std::chrono::minutes kLongestWrite{2};  // a longer one hangs
  const MutexLock lock(mutex_);
  return writers_ > 0 && steady_clock::now() < latest_write_ + kLongestWrite;
}

ObjectGate::Reader::Reader(ObjectGate& gate) : gate_(gate) {
  MutexLock lock(gate_.mutex_);
  const auto no_writer = [this]() REQUIRES(gate_.mutex_) { return gate_.writers_ == 0; };
  // Counted from the writer's begin, so that a writer that hangs delays one reader and not each, and from the reader's,
  // so that many short ones in a row delay it no longer.
  const auto latest = steady_clock::now() + gate_.patience_;
  const auto end = [&]() REQUIRES(gate_.mutex_) { return std::min(latest, gate_.latest_write_ + gate_.patience_); };
  while (gate_.writers_ > 0 && steady_clock::now() < end()) {
    gate_.changed_.wait_until(lock, end(), no_writer);
  }
  ++gate_.readers_;
}

ObjectGate::Reader::~Reader() {
  const MutexLock lock(gate_.mutex_);
  --gate_.readers_;
  gate_.changed_.notify_all();
}

ObjectGate::Writer::Writer(ObjectGate& gate) : gate_(gate) {
  MutexLock lock(gate_.mutex_);
  const auto deadline = steady_clock::now() + gate_.patience_;
  gate_.changed_.wait_until(lock, deadline, [this]() REQUIRES(gate_.mutex_) { return gate_.writers_ == 0; });
  ++gate_.writers_;
  gate_.latest_write_ = steady_clock::now();
  gate_.changed_.wait_until(lock, deadline, [this]() REQUIRES(gate_.mutex_) { return gate_.readers_ == 0; });
}

ObjectGate::Writer::~Writer() {
  const MutexLock lock(gate_.mutex_);
  --gate_.writers_;
  gate_.held_until_ = std::min(steady_clock::now(), gate_.latest_write_ + gate_.patience_);
  gate_.changed_.notify_all();
}

}  // namespace assertion::p11
