#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "assertion/error.h"
#include "assertion/token.h"
#include "signing/signing_job.h"
#include "signing/signing_statistics.h"
#include "signing/waiting_line.h"

namespace assertion {

// A bounded line before the token, and N workers with one session each. Every accepted job completes exactly once, and
// by its deadline: with a verified signature, or with an error that says why not. A job that the token fails is tried
// once more on another session. A call that does not return costs its session, not the job's caller: the worker is
// left to itself and replaced.
class SigningQueue {
 public:
  struct Options {
    std::size_t sessions = 2;                    // to begin with
    std::size_t capacity = 4096;                 // jobs that wait
    std::chrono::milliseconds call_limit{5000};  // of one attempt; longer is a call that hangs
  };

  // `token` must outlive the queue. Sessions are opened when first needed and after any error.
  SigningQueue(Token& token, Options options);

  // Finishes all accepted jobs first, and waits for calls that hang.
  ~SigningQueue();
  SigningQueue(const SigningQueue&) = delete;
  SigningQueue& operator=(const SigningQueue&) = delete;

  // Refused at once, and then `done` is never called: RESOURCE_EXHAUSTED, with the time after which to try again, when
  // the line is full or the deadline cannot be met; CANCELLED when it is already.
  Status Submit(SigningJob job);

  // Signs for this process itself: before all others, while paused too, and in the time that a token that is well
  // needs (500 ms, or four times what a signature takes here). `done` is as a job's, and called when refused, too.
  void SignNow(SigningKeyPtr key, SigningInput input, SigningJob::Done done);

  // A job that waits is ended at once, CANCELLED. One that is signed already goes on.
  void Cancel(JobTicket& ticket);

  // From now on with so many sessions, if these are more.
  void GrowTo(std::size_t sessions);

  // Jobs that no worker has taken yet.
  std::size_t Waiting() const;

  // The breaker: refuses jobs with this error, those that wait too, until Resume.
  void Pause(Error why);
  void Resume();

  bool IsPaused() const;

  // Called when a job has failed for good by the token's fault; on a worker's thread, must not call this object.
  void OnFailure(std::function<void()> failed);

  // Called once, when more calls hang than there are sessions to replace: this process cannot go on.
  void OnHang(std::function<void()> hung);

  // Takes no more jobs and finishes those accepted. False when a call still hangs after `limit`: then this object
  // cannot be destroyed.
  bool Drain(std::chrono::milliseconds limit);

  const SigningStatistics& statistics() const { return statistics_; }
  SigningOccupancy Occupancy() const;

  // Signatures that were verified, ever.
  std::uint64_t signed_count() const { return signed_; }

 private:
  using Session = std::unique_ptr<SigningSession>;
  using Instant = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;
  using Answer = std::pair<SigningJob::Done, Error>;

  struct Worker {
    std::optional<SigningJob> job;  // `done` is empty once it has been answered
    Instant began;
    bool stuck = false;  // has been replaced
    bool ended = false;
    std::jthread thread;
  };

  void Hire();
  void Work(Worker& self);
  bool Take(Worker& self);
  bool Finish(Worker& self, Result<Bytes> signature);
  Status Open(Session& session);
  void Discard(Session& session);
  Result<Bytes> Attempt(Session& session, const SigningJob& job);
  Result<Bytes> SignAndVerify(Session& session, const SigningJob& job);
  Status Admit(const SigningJob& job, Instant now, std::vector<Answer>& answers);
  Error Exhausted(std::string message) const;

  void Watch(const std::stop_token& stop);
  bool Look(Instant now, std::vector<Answer>& answers);
  void GiveUp(Worker& worker, Instant now, std::vector<Answer>& answers);

  Token& token_;
  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable ended_;
  std::condition_variable_any watched_;
  WaitingLine line_;
  std::size_t sessions_;
  bool closing_ = false;
  std::optional<Error> paused_;
  std::function<void()> failed_;
  std::function<void()> hung_;
  Seconds service_{0};
  std::size_t busy_ = 0;  // without those that are stuck
  std::size_t stuck_ = 0;
  bool watching_ = false;
  std::atomic<std::uint64_t> signed_ = 0;
  SigningStatistics statistics_;
  std::list<Worker> workers_;
  std::jthread watcher_;
};

}  // namespace assertion
