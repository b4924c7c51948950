#include "service/tls_key.h"

#include <utility>

namespace assertion::service {

Result<TlsKey::Session> TlsKey::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto session = std::move(idle_.back());
      idle_.pop_back();
      return session;
    }
  }
  return token_.OpenSigningSession();
}

void TlsKey::Give(Session session) {
  constexpr std::size_t kMostIdle = 8;
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMostIdle) {
    idle_.push_back(std::move(session));
  }
}

Result<Bytes> TlsKey::SignOnce(BytesView block) {
  auto session = Take();
  if (!session) {
    return std::unexpected(session.error());
  }
  auto signature = (*session)->SignBlock(id_, block);
  if (signature) {
    Give(std::move(*session));
    return signature;
  }
  // The others were opened before, perhaps in a module that has been reloaded since. Closed without the lock.
  std::vector<Session> stale;
  {
    const std::lock_guard lock(mutex_);
    stale.swap(idle_);
  }
  return signature;
}

Result<Bytes> TlsKey::Sign(BytesView block) {
  const std::shared_lock open(open_);
  if (closed_ || lost_()) {
    return Fail(Code::kUnavailable, "the HSM is not available; try again");
  }
  auto signature = SignOnce(block);
  return signature || lost_() ? signature : SignOnce(block);
}

void TlsKey::Close() {
  const std::unique_lock closing(open_);
  closed_ = true;
  const std::lock_guard lock(mutex_);
  idle_.clear();
}

}  // namespace assertion::service
