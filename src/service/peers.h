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

// Who is at the other end of each connection, and whether they still may be: a certificate that was good when the
// connection began is judged again by the trust that is in force. All methods may be called from any thread.
class Peers {
 public:
  // Whose certificates are believed from now on. Until it is given: nobody's.
  void Believe(std::shared_ptr<const x509::Trust> trust) { trust_.store(std::move(trust)); }
  std::shared_ptr<const x509::Trust> trust() const { return trust_.load(); }

  // Who is calling, from what the transport proved, and the same as Judge. UNAUTHENTICATED.
  Result<Caller> Authenticate(const grpc::ServerContextBase& context);

  // Whether the certificate of an authenticated peer is good now. A peer over the Unix domain socket has none and needs
  // none. UNAUTHENTICATED. Cheap: a certificate is verified once for each connection and trust.
  Status Judge(const grpc::ServerContextBase& context);

  // Told of a TLS connection's first call, by the peer's name, and now and then again, on any thread; empty: nobody is.
  void TellMet(std::function<void(const std::string& peer)> met) {
    const MutexLock lock(meeting_);
    met_ = std::move(met);
  }

  // Ends those of `all` connections whose peer's certificate is good no more, or whom `policy` lists no more though the
  // policy of the sweep before did. A TLS connection on which no call has told its certificate is ended when the trust,
  // or who is listed, has changed.
  void Sweep(std::span<Connections* const> all, const std::shared_ptr<const Policy>& policy);

  // Ends those of `all` connections whose peer `policy` does not list, or is not known yet. Returns how many.
  std::size_t EndUnlisted(std::span<Connections* const> all, const Policy& policy);

 private:
  // What is known of one TLS connection, by its first call.
  struct Known {
    std::string certificate;  // PEM
    std::optional<Caller> caller;
    std::shared_ptr<const x509::Trust> trust;  // null: the certificate was refused
    std::time_t until = 0;                     // how long its verdict holds
    bool seen = true;                          // since the sweep before
  };

  Status JudgeCertificate(const grpc::ServerContextBase& context, grpc::string_ref certificate);
  bool IsGood(Known& known) const REQUIRES(mutex_);
  bool IsCondemned(const std::string& peer, const std::function<bool(const Caller&)>& dropped, bool unknown_end);

  std::atomic<std::shared_ptr<const x509::Trust>> trust_ =
      std::make_shared<const x509::Trust>(x509::Trust::Nobody("this server believes no certificate yet"));
  Mutex mutex_;
  std::unordered_map<std::string, Known> known_ GUARDED_BY(mutex_);  // by peer address

  Mutex meeting_;
  std::function<void(const std::string& peer)> met_ GUARDED_BY(meeting_);

  Mutex sweeping_;
  // Of the sweep before.
  std::shared_ptr<const x509::Trust> swept_trust_ GUARDED_BY(sweeping_);
  std::shared_ptr<const Policy> swept_policy_ GUARDED_BY(sweeping_);
};

}  // namespace assertion::service
