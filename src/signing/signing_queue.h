#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/token.h"
#include "signing/signing_job.h"
#include "signing/signing_statistics.h"
#include "signing/waiting_line.h"

namespace assertion {

// A bounded line of jobs before the token, and N workers with one session each. Every accepted job completes exactly
// once, by its deadline: with a verified signature, or with an error that gives the reason. A job that fails on the
// token is retried once on another session. When a call into the HSM hangs, its worker is abandoned and replaced, and
// the job's caller still gets an answer.
class SigningQueue {
 public:
  struct Options {
    std::size_t sessions = 2;                    // at the start
    std::size_t capacity = 4096;                 // jobs that wait
    std::chrono::milliseconds call_limit{5000};  // for one attempt; a longer call counts as hung
  };

  // `token` must outlive the queue. A session is opened when first needed, and again after any error.
  SigningQueue(Token& token, Options options);

  // Finishes all accepted jobs first, and waits for hung calls.
  ~SigningQueue();
  SigningQueue(const SigningQueue&) = delete;
  SigningQueue& operator=(const SigningQueue&) = delete;

  // An error refuses the job at once, and `done` is never called. RESOURCE_EXHAUSTED, with a retry delay: the line is
  // full, or the deadline cannot be met. CANCELLED: the ticket is cancelled already.
  Status Submit(SigningJob job);

  // Signs for this process itself: before all other jobs, and also while paused. The time limit is what a healthy token
  // needs: 500 ms, or four times the average signature. `done` is called even if the job is refused.
  void SignNow(SigningKeyPtr key, SigningInput input, SigningJob::Done done);

  // Ends a waiting job at once, CANCELLED. A job that a worker has started continues.
  void Cancel(JobTicket& ticket);

  // Raises the number of sessions; a lower number changes nothing.
  void GrowTo(std::size_t sessions);

  // Jobs that no worker has started.
  std::size_t Waiting() const;

  // The breaker: refuses new and waiting jobs with this error until Resume.
  void Pause(Error why);
  void Resume();

  bool IsPaused() const;

  // Returns once no job has been in hand for so long, at the latest after `longest` or at `stop`: for work of this
  // process that would delay jobs.
  void AwaitLull(std::chrono::milliseconds lull, std::chrono::milliseconds longest, const std::stop_token& stop);

  // `failed` is called with the reason when a job fails after its retry, or its call hangs; on a queue thread, must not
  // call this object.
  void OnFailure(std::function<void(const Error&)> failed);

  // `hung` is called once, when more calls hang than there are sessions: this process cannot continue.
  void OnHang(std::function<void()> hung);

  // Accepts no more jobs and finishes the accepted ones. False: a call still hangs after `limit`, and this object
  // cannot be destroyed.
  bool Drain(std::chrono::milliseconds limit);

  const SigningStatistics& statistics() const { return statistics_; }
  SigningOccupancy Occupancy() const;

  // Verified signatures since the start.
  std::uint64_t signed_count() const { return signed_; }

 private:
  using Session = std::unique_ptr<SigningSession>;
  using Instant = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;
  using Failure = std::pair<SigningJob::Done, Error>;

  struct Worker {
    // Changed under mutex_; the worker itself reads it without. `done` is empty once the caller has an answer.
    std::optional<SigningJob> job;
    Instant began;
    bool stuck = false;  // its call hangs; another worker has replaced it
    bool ended = false;
    std::jthread thread;
  };

  void StartWorker() REQUIRES(mutex_);
  void Work(Worker& self);
  bool NextJob(Worker& self);
  bool Finish(Worker& self, Result<Bytes> signature);
  Status Open(Session& session);
  void Discard(Session& session);
  Result<Bytes> Attempt(Session& session, const SigningJob& job);
  Result<Bytes> SignAndVerify(Session& session, const SigningJob& job);
  Status MakeRoomFor(const SigningJob& job, Instant now, std::vector<Failure>& failures) REQUIRES(mutex_);
  Error Exhausted(std::string message) const REQUIRES(mutex_);

  void Watch(const std::stop_token& stop);
  bool CheckWorkers(Instant now, std::vector<Failure>& failures) REQUIRES(mutex_);
  void AbandonWorker(Worker& worker, Instant now, std::vector<Failure>& failures) REQUIRES(mutex_);

  Token& token_;
  const Options options_;
  mutable Mutex mutex_;
  ConditionVariable filled_;
  ConditionVariable ended_;
  std::condition_variable_any watched_;
  WaitingLine line_ GUARDED_BY(mutex_);
  std::size_t sessions_ GUARDED_BY(mutex_);
  bool closing_ GUARDED_BY(mutex_) = false;
  std::optional<Error> paused_ GUARDED_BY(mutex_);
  std::function<void(const Error&)> failed_ GUARDED_BY(mutex_);
  std::function<void()> hung_ GUARDED_BY(mutex_);
  Seconds service_ GUARDED_BY(mutex_){0};
  std::size_t busy_ GUARDED_BY(mutex_) = 0;  // without stuck workers
  std::size_t stuck_ GUARDED_BY(mutex_) = 0;
  bool watching_ GUARDED_BY(mutex_) = false;
  Instant last_finished_ GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> signed_ = 0;
  SigningStatistics statistics_;
  std::list<Worker> workers_ GUARDED_BY(mutex_);
  std::jthread watcher_;
};

}  // namespace assertion
