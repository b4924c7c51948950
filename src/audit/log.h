#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "assertion/error.h"
#include "audit/checkpoint.h"
#include "audit/event.h"
#include "audit/ledger_version.h"
#include "audit/log_file.h"
#include "signing/duration_histogram.h"

namespace assertion::audit {

struct LogOptions {
  std::string path;
  std::uint64_t rotate_octets = std::uint64_t{64} << 20U;
  std::uint64_t checkpoint_lines = 1000;
  std::chrono::seconds checkpoint_interval{10};
  // Octets of the file system that lines of peers that are not entitled leave free; 0: none. Such lines are not written
  // then but counted, in a line LinesWithheld as soon as there is room.
  std::uint64_t reserve = 0;
  std::size_t capacity = 8192;             // of events that wait for the disk
  std::chrono::microseconds gather{2000};  // at most; see Log::Expectation
};

// The hash-chained record of what was signed and of what operators did. One thread writes what has come together and
// syncs it once; only then are the callers told. All methods may be called from any thread.
class Log {
 public:
  // While one lives, a call is under way that will be recorded. A sync costs the processor as much for one line as for
  // many: a line waits until there are a quarter as many as calls under way, for that many wait for the token longer
  // than this one for the disk; and when few are under way it does not wait. Drop it right before Record.
  class Expectation {
   public:
    explicit Expectation(Log& log) : under_way_(log.under_way_) { ++under_way_; }
    ~Expectation() { --under_way_; }
    Expectation(const Expectation&) = delete;
    Expectation& operator=(const Expectation&) = delete;

   private:
    std::atomic<std::size_t>& under_way_;
  };

  using Done = std::move_only_function<void(const Status&)>;
  // Called by the writing thread when the log cannot be written any more, and when it can again.
  using OnState = std::function<void(const Status&)>;

  // Goes on with the log that is there, after checking the file that it ends with against `keys`. kAuditUnusable.
  static Result<std::unique_ptr<Log>> Open(LogOptions options, Signer signer, const PublicKeys& keys, OnState on_state);

  // Writes what was recorded, and a last checkpoint.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // `done` gets an OK once the line is durable; UNAVAILABLE when it cannot be written, RESOURCE_EXHAUSTED when too many
  // wait. It runs on the writing thread, or at once. An event that is withheld for the reserve is as good as durable:
  // it releases nothing.
  void Record(const Event& event, Done done);

  // Writes it, now or as soon as the log can be written again, and again into each new file.
  void Record(const LedgerVersion& seen);

  // The highest version that the log has seen, of each client and HSM.
  std::vector<LedgerVersion> ledger_versions() const;

  // UNAVAILABLE while the log cannot be written.
  Status state() const;

  // Goes on in a new file if the current one was moved or removed (SIGHUP after an external rotation).
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
    std::chrono::steady_clock::duration lag;  // since the oldest of them was recorded; 0: none waits
    std::uint64_t unproven;                   // lines that no checkpoint proves yet
  };
  Backlog backlog() const;

  // How long events took until their lines were durable.
  const DurationHistogram& durable_time() const { return durable_time_; }

 private:
  struct Entry {
    std::string body;
    Done done;
    std::chrono::steady_clock::time_point recorded;
  };

  // A checkpoint that the token has signed, or has not, while lines went on.
  struct Proof {
    Head covered;
    std::string payload;
    Result<std::string> jws;
  };

  Log(LogOptions options, Signer signer, OnState on_state, LogFile file, Head head);

  bool Note(const LedgerVersion& seen);
  std::vector<std::string> BeginningOfFile(std::uint64_t unproven, std::size_t torn) const;
  Status Enqueue(std::string body, Done& done);
  bool Withhold(const Event& event);
  void Work();
  void Gather(std::unique_lock<std::mutex>& lock);
  Status Write(const std::vector<std::string>& bodies);
  Status Commit(std::string_view lines, const Head& head);
  void Settle(std::vector<Entry> batch);
  void SetState(const Status& state);
  void BeginCheckpoint();
  void EndCheckpoint(const Proof& proof);
  Proof Await();
  void Checkpoint();
  void Rotate();
  bool IsDue() const;
  std::string OpenedBody(std::uint64_t unproven, std::size_t torn, std::size_t ledgers) const;

  const LogOptions options_;
  const Signer signer_;
  const OnState on_state_;

  // The writing thread's own.
  LogFile file_;
  Head head_;
  std::uint64_t begun_ = 0;  // octets of the ledgers that the file begins with: they do not fill it
  std::uint64_t checkpoint_ = 0;
  std::atomic<std::uint64_t> since_checkpoint_ = 0;  // others read it
  std::chrono::steady_clock::time_point next_checkpoint_;
  bool signer_away_ = false;  // at the last checkpoint
  bool proving_ = false;      // a checkpoint is being signed
  std::uint64_t lost_ = 0;    // events refused since the log could not be written

  std::atomic<bool> scarce_ = false;         // less is free than the reserve
  std::atomic<std::int64_t> next_look_ = 0;  // at that, in ticks of the steady clock
  std::atomic<std::uint64_t> withheld_ = 0;  // lines since the last LinesWithheld
  std::atomic<std::size_t> under_way_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<Entry> waiting_;
  std::size_t enough_ = 1;   // as many lines wake the writing thread
  std::size_t in_hand_ = 0;  // of the writing thread
  std::chrono::steady_clock::time_point oldest_in_hand_;
  Position position_;
  std::map<std::string, LedgerVersion, std::less<>> ledger_versions_;  // the highest, by serial, HSM and client
  Status state_;
  std::optional<Proof> proof_;  // to be written
  bool reopen_ = false;
  bool closing_ = false;
  DurationHistogram durable_time_;
  std::jthread worker_;
};

}  // namespace assertion::audit
