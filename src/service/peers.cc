#include "service/peers.h"

#include <grpc/grpc_security_constants.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "service/authentication.h"

namespace assertion::service {
namespace {

// True if a caller was listed before and is not now.
bool ListsFewer(const Policy& before, const Policy& now) {
  const auto then = before.callers();
  const auto still = now.callers();
  return !std::ranges::includes(still, then);
}

}  // namespace

Result<Caller> Peers::Authenticate(const grpc::ServerContextBase& context) {
  auto caller = service::Authenticate(context);
  if (!caller) {
    return caller;
  }
  RETURN_IF_ERROR(CheckCertificate(context));
  return caller;
}

Status Peers::CheckCertificate(const grpc::ServerContextBase& context) {
  const auto certificates = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return certificates.empty() ? Status() : VerifyOnce(context, certificates.front());
}

Status Peers::VerifyOnce(const grpc::ServerContextBase& context, grpc::string_ref certificate) {
  const std::string_view pem(certificate.data(), certificate.size());
  const auto peer = context.peer();
  const auto trust = trust_.load();
  {
    const MutexLock lock(mutex_);
    const auto found = known_.find(peer);
    if (found != known_.end() && found->second.certificate == pem && found->second.trust == trust &&
        std::time(nullptr) < found->second.until) {
      return {};
    }
  }
  {
    const MutexLock lock(first_call_mutex_);
    if (first_call_) {
      first_call_(peer);
    }
  }
  const auto verified = trust->Verify(pem);
  auto caller = service::Authenticate(context);
  {
    const MutexLock lock(mutex_);
    known_.insert_or_assign(peer, Known{.certificate = std::string(pem),
                                        .caller = caller ? std::optional(std::move(*caller)) : std::nullopt,
                                        .trust = verified ? trust : nullptr,
                                        .until = verified.value_or(0)});
  }
  if (!verified) {
    return Fail(Code::kUnauthenticated, verified.error().message, verified.error().detail);
  }
  return {};
}

bool Peers::IsTrusted(Known& known) const {
  const auto trust = trust_.load();
  if (known.trust == trust && std::time(nullptr) < known.until) {
    return true;
  }
  const auto verified = trust->Verify(known.certificate);
  known.trust = verified ? trust : nullptr;
  known.until = verified.value_or(0);
  return verified.has_value();
}

// `peer` is named as Connections does: "uid:1000" on the Unix domain socket, else as gRPC names it.
bool Peers::MustEnd(const std::string& peer, const std::function<bool(const Caller&)>& dropped, bool ends_unknown) {
  if (peer.starts_with("uid:")) {
    return dropped(Caller::Authenticated({peer}));
  }
  const MutexLock lock(mutex_);
  const auto found = known_.find(peer);
  if (found == known_.end()) {
    return ends_unknown;
  }
  found->second.seen = true;
  return !IsTrusted(found->second) || (found->second.caller && dropped(*found->second.caller));
}

std::size_t Peers::EndUnlisted(std::span<Connections* const> all, const Policy& policy) {
  const auto unlisted = [&policy](const Caller& caller) { return !policy.Admit(caller).has_value(); };
  std::size_t ended = 0;
  for (auto* const connections : all) {
    ended += connections->EndThoseOf([&](const std::string& peer) { return MustEnd(peer, unlisted, true); });
  }
  return ended;
}

void Peers::Sweep(std::span<Connections* const> all, const std::shared_ptr<const Policy>& policy) {
  const MutexLock one_at_a_time(sweep_mutex_);
  const auto trust = trust_.load();
  const auto before = std::exchange(swept_policy_, policy);
  const bool fewer_listed = before && before != policy && ListsFewer(*before, *policy);
  const bool ends_unknown = fewer_listed || (swept_trust_ && swept_trust_ != trust);
  const auto dropped = [&](const Caller& caller) {
    return fewer_listed && before->Admit(caller) && !policy->Admit(caller);
  };
  std::size_t ended = 0;
  for (auto* const connections : all) {
    ended += connections->EndThoseOf([&](const std::string& peer) { return MustEnd(peer, dropped, ends_unknown); });
  }
  if (ended > 0) {
    spdlog::warn("{} connections are ended: their peers are revoked or no longer listed", ended);
  }
  const MutexLock lock(mutex_);
  std::erase_if(known_, [](const auto& entry) { return !entry.second.seen; });
  for (auto& [peer, known] : known_) {
    known.seen = false;
  }
  swept_trust_ = trust;
}

}  // namespace assertion::service
