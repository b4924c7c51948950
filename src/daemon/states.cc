#include "daemon/states.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "keys/key_ring.h"

namespace assertion {

void HsmStates::Set(const std::string& name, const Status& state) {
  const MutexLock lock(mutex_);
  const auto hsms = hsms_.All();
  const auto which = hsms.size() > 1 ? " '" + name + "'" : "";
  const bool news = state ? lost_.erase(name) > 0 : lost_.insert_or_assign(name, state.error().message).second;
  // Before the log tells it: an operator may look at readiness because of the line.
  if (std::ranges::all_of(hsms, [this](const auto& hsm) REQUIRES(mutex_) { return lost_.contains(hsm->name); })) {
    readiness_.SetNotReady("token", state ? "" : state.error().message);
  } else if (lost_.empty()) {
    readiness_.SetReady("token");
  } else {
    readiness_.SetWarning("token", TextOfLost());
  }
  if (state) {
    spdlog::info("the token{} signs again", which);
  } else {
    spdlog::error("the token{} {}does not sign: {}", which, news ? "" : "still ", state.error().ToString());
  }
}

std::string HsmStates::TextOfLost() const {
  std::string text;
  for (const auto& [name, why] : lost_) {
    text.append(text.empty() ? "HSM '" : "; HSM '").append(name).append("' does not sign: ").append(why);
  }
  return text;
}

void TokenStates::Update() {
  constexpr int kMostNamed = 5;
  const auto add = [](std::string& text, int& count, const std::string& what) {
    if (++count <= kMostNamed) {
      text += (text.empty() ? "" : "; ") + what;
    }
  };
  const auto close = [](std::string& text, int count) {
    if (count > kMostNamed) {
      text += "; and " + std::to_string(count - kMostNamed) + " more, see the log";
    }
  };
  std::string ledgers;
  std::string own_keys;
  int older = 0;
  int missing = 0;
  for (const auto& hsm : hsms_.All()) {
    const auto rolled_back = hsm->keys.RolledBack();
    for (const auto& [client_id, versions] : *rolled_back) {
      add(ledgers, older, TooOld(client_id, versions.found, versions.seen).message);
    }
    const auto own = hsm->keys.MissingOwnKeys();
    for (const auto& key : *own) {
      add(own_keys, missing, "assertiond's own key " + key + " is not on the token '" + hsm->name + "'");
    }
  }
  close(ledgers, older);
  close(own_keys, missing);
  const MutexLock lock(mutex_);
  Warn("ledgers", ledgers);
  Warn("own keys", own_keys);
}

void TokenStates::Warn(const std::string& part, const std::string& warning) {
  if (std::exchange(warnings_[part], warning) == warning) {
    return;
  }
  if (warning.empty()) {
    readiness_.SetReady(part);
  } else {
    readiness_.SetWarning(part, warning);
  }
}

void TlsState::Set(const Status& refreshed) {
  const MutexLock lock(mutex_);
  if (!refreshed && !std::exchange(failing_, true)) {
    spdlog::error("TLS goes on with what it had: {}", refreshed.error().ToString());
  } else if (refreshed && std::exchange(failing_, false)) {
    spdlog::info("TLS has what its files say again");
  }
}

void SetAuditState(Readiness& readiness, const Status& state) {
  if (state) {
    spdlog::info("the audit log can be written again");
    readiness.SetReady("audit");
  } else {
    spdlog::error("nothing is released: {}", state.error().ToString());
    readiness.SetNotReady("audit", state.error().message);
  }
}

void LogAuditRotation(const Status& rotated) {
  if (rotated) {
    spdlog::info("the audit log has begun another file");
  } else {
    spdlog::error("the audit log goes on in its old file, another cannot be begun: {}", rotated.error().detail);
  }
}

void SetCrlState(Readiness& readiness, const Status& readable, bool closed) {
  if (readable) {
    spdlog::info("all CRLs can be read again");
    readiness.SetReady(kCrls);
  } else if (closed) {
    spdlog::error("nobody with a certificate is served: for tls.crl_grace not all CRLs could be read: {}",
                  readable.error().ToString());
    readiness.SetNotReady(kCrls, "nobody with a certificate is served: not all CRLs can be read; see the log");
  } else {
    spdlog::error("revocation goes on by the CRLs that were read before: {}", readable.error().ToString());
    readiness.SetWarning(kCrls, "not all CRLs can be read; see the log");
  }
}

}  // namespace assertion
