#pragma once

#include <grpcpp/server_context.h>

#include <atomic>
#include <cstddef>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "assertion/caller.h"
#include "assertion/error.h"
#include "assertion/mutex.h"
#include "policy/policy.h"
#include "service/connections.h"
#include "x509/trust.h"

namespace assertion::service {

// The peer of each connection, and whether it may stay connected: a certificate that was valid when the connection
// began is verified again whenever the trust changes. All methods may be called from any thread.
class Peers {
 public:
  // Sets which certificates are trusted. Before the first call, none is.
  void SetTrust(std::shared_ptr<const x509::Trust> trust) { trust_.store(std::move(trust)); }
  std::shared_ptr<const x509::Trust> trust() const { return trust_.load(); }

  // The caller, as the transport proved it, after CheckCertificate. UNAUTHENTICATED.
  Result<Caller> Authenticate(const grpc::ServerContextBase& context);

  // Checks that the certificate of an authenticated peer is valid now. A peer on the Unix domain socket has none and
  // needs none. UNAUTHENTICATED. Cheap: a certificate is verified once per connection and trust.
  Status CheckCertificate(const grpc::ServerContextBase& context);

  // `first_call` is called with the peer's name at the first call of each TLS connection, and sometimes again, on any
  // thread. Empty: nothing is called.
  void OnFirstCall(std::function<void(const std::string& peer)> met) {
    const MutexLock lock(first_call_mutex_);
    first_call_ = std::move(met);
  }

  // Ends connections whose peer's certificate is no longer valid, or whose peer was listed at the last sweep and is not
  // listed by `policy`. A TLS connection without any call, whose certificate is therefore unknown, is ended when the
  // trust has changed or a caller is no longer listed.
  void Sweep(std::span<Connections* const> all, const std::shared_ptr<const Policy>& policy);

  // Ends connections whose peer is not known yet or not listed by `policy`. Returns their number.
  std::size_t EndUnlisted(std::span<Connections* const> all, const Policy& policy);

 private:
  // One TLS connection, known from its first call on.
  struct Known {
    std::string certificate;  // PEM
    std::optional<Caller> caller;
    std::shared_ptr<const x509::Trust> trust;  // null: the certificate was refused
    std::time_t until = 0;                     // the end of the verdict's validity
    bool seen = true;                          // since the last sweep
  };

  Status VerifyOnce(const grpc::ServerContextBase& context, grpc::string_ref certificate);
  bool IsTrusted(Known& known) const REQUIRES(mutex_);
  bool MustEnd(const std::string& peer, const std::function<bool(const Caller&)>& dropped, bool ends_unknown);

  std::atomic<std::shared_ptr<const x509::Trust>> trust_ =
      std::make_shared<const x509::Trust>(x509::Trust::Nobody("this server believes no certificate yet"));
  Mutex mutex_;
  std::unordered_map<std::string, Known> known_ GUARDED_BY(mutex_);  // by peer address

  Mutex first_call_mutex_;
  std::function<void(const std::string& peer)> first_call_ GUARDED_BY(first_call_mutex_);

  Mutex sweep_mutex_;
  // As of the last sweep.
  std::shared_ptr<const x509::Trust> swept_trust_ GUARDED_BY(sweep_mutex_);
  std::shared_ptr<const Policy> swept_policy_ GUARDED_BY(sweep_mutex_);
};

}  // namespace assertion::service
