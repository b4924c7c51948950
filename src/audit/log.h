#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "assertion/duration_histogram.h"
#include "assertion/error.h"
#include "assertion/mutex.h"
#include "audit/checkpoint.h"
#include "audit/event.h"
#include "audit/ledger_version.h"
#include "audit/log_file.h"

namespace assertion::audit {

struct LogOptions {
  std::string path;
  std::uint64_t rotate_octets = std::uint64_t{64} << 20U;
  std::uint64_t checkpoint_lines = 1000;
  std::chrono::seconds checkpoint_interval{10};
  // Octets that stay free on the file system: below this, lines about peers that are not entitled are only counted, and
  // a line LinesWithheld tells the count once there is room. 0: no reserve.
  std::uint64_t reserve = 0;
  std::size_t capacity = 8192;             // events that may wait for the disk
  std::chrono::microseconds gather{2000};  // longest wait for more lines; see Log::Expectation
  // Longest wait for three quarters of the lines that waited during the last write; nullopt: half the time that it
  // took, at most `gather`.
  std::optional<std::chrono::microseconds> gather_again = {};
};

// The hash-chained record of every signature and every act of an operator. One thread writes the waiting lines in
// batches and syncs each batch once; then it tells the callers. All methods may be called from any thread.
class Log {
 public:
  // Announces a call that will be recorded. A sync costs the same for one line as for many, so the writing thread waits
  // until a quarter as many lines wait as calls are under way. When few calls are under way it does not wait. Destroy
  // it right before Record.
  class Expectation {
   public:
    explicit Expectation(Log& log) : under_way_(log.under_way_) { ++under_way_; }
    ~Expectation() { --under_way_; }
    Expectation(const Expectation&) = delete;
    Expectation& operator=(const Expectation&) = delete;

   private:
    std::atomic<std::size_t>& under_way_;
  };

  // Holds up the next write until it is destroyed, at most for `gather`: lines that are recorded meanwhile share a
  // sync.
  class Together {
   public:
    explicit Together(Log& log);
    ~Together();
    Together(const Together&) = delete;
    Together& operator=(const Together&) = delete;

   private:
    Log& log_;
  };

  using Done = std::move_only_function<void(const Status&)>;
  // Called on the writing thread when the log can no longer be written, and when it can again.
  using OnState = std::function<void(const Status&)>;
  // Called on the writing thread when the log cannot begin another file, for each new reason and once an hour, and when
  // it could again. Meanwhile the log goes on in the file that it has.
  using OnRotation = std::function<void(const Status&)>;

  // Continues an existing log after it has verified the log's last file against `keys`. Of the signers, at least one,
  // the one that signed the log's last checkpoint goes on; else the first. kAuditUnusable.
  static Result<std::unique_ptr<Log>> Open(LogOptions options, const std::vector<Signer>& signers,
                                           const PublicKeys& keys, OnState on_state, OnRotation on_rotation = {});

  // Writes all recorded lines and a last checkpoint.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // `done` gets OK once the line is durable, UNAVAILABLE when it cannot be written, RESOURCE_EXHAUSTED when too many
  // lines wait. It runs on the writing thread, in the order of Record, or before Record returns. An event that is
  // withheld to keep the reserve gets OK too: it releases nothing.
  void Record(const Event& event, Done done);

  // Writes the version now, or as soon as the log can be written again, and once more into each new file.
  void Record(const LedgerVersion& seen);

  // The highest version of each client and HSM that the log has seen.
  std::vector<LedgerVersion> ledger_versions() const;

  // UNAVAILABLE while the log cannot be written.
  Status state() const;

  // Continues in a new file if the current one was moved or removed (SIGHUP after an external rotation).
  void Reopen();

  // The public JWK of the key that signs checkpoints.
  const std::string& jwk() const { return signer_.jwk; }

  // The last durable line, and how far the last checkpoint proves the log (0: none since the start).
  struct Position {
    Head head;
    std::uint64_t checkpoint;
  };
  Position position() const;

  // For monitoring.
  struct Backlog {
    std::size_t waiting;                      // events that are not durable yet
    std::chrono::steady_clock::duration lag;  // age of the oldest of them; 0: none waits
    std::uint64_t unproven;                   // lines that no checkpoint proves yet
  };
  Backlog backlog() const;

  // Time from Record until the line was durable.
  const DurationHistogram& durable_time() const { return durable_time_; }

 private:
  struct Entry {
    std::string body;
    Done done;
    std::chrono::steady_clock::time_point recorded;
  };

  // The outcome of signing a checkpoint. More lines may have been written meanwhile.
  struct Proof {
    Head covered;
    std::string payload;
    Result<std::string> jws;
  };

  Log(LogOptions options, Signer signer, OnState on_state, OnRotation on_rotation, LogFile file, Head head);

  bool RememberIfHigher(const LedgerVersion& seen);
  std::vector<std::string> BeginningOfFile(std::uint64_t unproven, std::size_t torn) const;
  Status Enqueue(std::string body, Done& done);
  bool Withhold(const Event& event);
  void Work();
  void Gather(MutexLock& lock) REQUIRES(mutex_);
  Status Write(const std::vector<std::string>& bodies);
  Status Commit(std::string_view lines, const Head& head);
  void WriteBatch(std::vector<Entry>& batch);
  // `told`: events that were refused, which a LogResumed line counts.
  void SetState(const Status& state, std::uint64_t told = 0);
  void BeginCheckpoint();
  void EndCheckpoint(const Proof& proof);
  Proof AwaitProof();
  void Checkpoint();
  void Rotate();
  void ReportRotation(const Status& rotated);
  bool NeedsAnotherFile() const;
  bool IsDue() const;
  std::string OpenedBody(std::uint64_t unproven, std::size_t torn, std::size_t ledgers) const;

  const LogOptions options_;
  const Signer signer_;
  const OnState on_state_;
  const OnRotation on_rotation_;

  // Used by the writing thread alone; others read the atomic one.
  LogFile file_;
  Head head_;
  std::uint64_t begun_ = 0;  // octets of the ledger versions at the file's begin: they do not count towards rotation
  std::string rotation_failed_;  // why the last rotation failed; empty: it did not
  std::chrono::steady_clock::time_point rotation_reported_;
  std::chrono::steady_clock::time_point next_rotation_;  // no attempt before
  std::uint64_t checkpoint_ = 0;
  std::atomic<std::uint64_t> since_checkpoint_ = 0;
  std::chrono::steady_clock::time_point next_checkpoint_;
  bool signer_away_ = false;                // the last checkpoint was not signed
  bool proving_ = false;                    // a checkpoint is being signed
  std::size_t callers_ = 0;                 // that waited during the last write, for it or for the next
  std::chrono::microseconds write_time_{};  // of the last batch

  std::atomic<bool> scarce_ = false;                // less is free than the reserve
  std::atomic<std::int64_t> next_space_check_ = 0;  // in ticks of the steady clock
  std::atomic<std::uint64_t> withheld_ = 0;         // lines since the last LinesWithheld
  std::atomic<std::size_t> under_way_ = 0;          // see Expectation

  mutable Mutex mutex_;
  ConditionVariable filled_;
  std::vector<Entry> waiting_ GUARDED_BY(mutex_);
  std::size_t together_ GUARDED_BY(mutex_) = 0;  // see Together
  std::size_t enough_ GUARDED_BY(mutex_) = 1;    // this many waiting lines wake the writing thread
  std::size_t in_hand_ GUARDED_BY(mutex_) = 0;   // lines that the writing thread has taken
  std::chrono::steady_clock::time_point oldest_in_hand_ GUARDED_BY(mutex_);
  Position position_ GUARDED_BY(mutex_);
  // The highest of each, by serial, HSM and client.
  std::map<std::string, LedgerVersion, std::less<>> ledger_versions_ GUARDED_BY(mutex_);
  Status state_ GUARDED_BY(mutex_);
  std::uint64_t lost_ GUARDED_BY(mutex_) = 0;      // events refused that no LogResumed line counts yet
  std::optional<Proof> proof_ GUARDED_BY(mutex_);  // signed, not written yet
  bool reopen_ GUARDED_BY(mutex_) = false;
  bool closing_ GUARDED_BY(mutex_) = false;
  DurationHistogram durable_time_;
  std::jthread worker_;
};

}  // namespace assertion::audit
