#pragma once

#include <map>
#include <string>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "observe/readiness.h"
#include "signing/hsm_group.h"

namespace assertion {

// The state of a part, for the log and /readyz. The log has one line for each change, not for each check.

// Which HSMs sign. The process is ready while at least one does, with a warning while another does not.
class HsmStates {
 public:
  HsmStates(Readiness& readiness, const HsmGroup& hsms) : readiness_(readiness), hsms_(hsms) {}

  void Set(const std::string& name, const Status& state);

 private:
  std::string TextOfLost() const REQUIRES(mutex_);

  Readiness& readiness_;
  const HsmGroup& hsms_;
  Mutex mutex_;
  std::map<std::string, std::string> lost_ GUARDED_BY(mutex_);  // why, by name
};

// Which clients' ledgers are older than a version seen before. It is a warning: other clients are served.
class TokenStates {
 public:
  TokenStates(Readiness& readiness, const HsmGroup& hsms) : readiness_(readiness), hsms_(hsms) {}

  // Reads the key rings' present state.
  void Update();

 private:
  Readiness& readiness_;
  const HsmGroup& hsms_;
  void Warn(const std::string& part, const std::string& warning) REQUIRES(mutex_);

  Mutex mutex_;
  std::map<std::string, std::string> warnings_ GUARDED_BY(mutex_);  // by part of readiness
};

// Tracks whether the files of TLS could be read again; while they cannot, TLS goes on with those read before.
class TlsState {
 public:
  void Set(const Status& refreshed);

 private:
  Mutex mutex_;
  bool failing_ GUARDED_BY(mutex_) = false;
};

// Sets whether audit lines can be written. Nothing is released while they cannot.
void SetAuditState(Readiness& readiness, const Status& state);

// Says why the audit log cannot begin another file, or that it could again. Lines can be written meanwhile.
void LogAuditRotation(const Status& rotated);

// Sets whether all CRLs can be read. `closed`: they could not for longer than tls.crl_grace.
void SetCrlState(Readiness& readiness, const Status& readable, bool closed);

}  // namespace assertion
