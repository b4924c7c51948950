#include "signing/signing_queue.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace assertion {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTick{20};
constexpr milliseconds kWatchAfterLastJob{1000};  // the watcher then sleeps until the next job
constexpr milliseconds kUrgentLimit{500};
constexpr milliseconds kShortestRetry{10};
constexpr milliseconds kLongestRetry{5000};

Error TooLate(const char* what) { return {Code::kDeadlineExceeded, what, ""}; }

template <typename Failures>
void Report(Failures& failures) {
  for (auto& [done, error] : failures) {
    done(std::unexpected(std::move(error)));
  }
  failures.clear();
}

}  // namespace

SigningQueue::SigningQueue(Token& token, Options options)
    : token_(token), options_(options), sessions_(options.sessions) {
  {
    const MutexLock lock(mutex_);
    for (std::size_t i = 0; i < sessions_; ++i) {
      StartWorker();
    }
  }
  watcher_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
}

SigningQueue::~SigningQueue() {
  Drain(std::chrono::hours(24 * 365));
  watcher_ = {};
  workers_.clear();
}

bool SigningQueue::Drain(milliseconds limit) {
  MutexLock lock(mutex_);
  closing_ = true;
  filled_.notify_all();
  return ended_.wait_for(lock, limit,
                         [this]() REQUIRES(mutex_) { return std::ranges::all_of(workers_, &Worker::ended); });
}

void SigningQueue::GrowTo(std::size_t sessions) {
  const MutexLock lock(mutex_);
  for (; sessions_ < sessions && !closing_; ++sessions_) {
    StartWorker();
  }
}

void SigningQueue::StartWorker() {
  auto& worker = workers_.emplace_back();
  worker.thread = std::jthread([this, &worker] { Work(worker); });
}

Error SigningQueue::Exhausted(std::string message) const {
  const auto drained = service_ * static_cast<double>(line_.size()) / static_cast<double>(sessions_);
  return {.code = Code::kResourceExhausted,
          .message = std::move(message),
          .detail = {},
          .retry_delay = std::clamp(std::chrono::duration_cast<milliseconds>(drained), kShortestRetry, kLongestRetry)};
}

// Refuses the job if it would wait too long. When the line is full, drops a job of the caller that has most.
Status SigningQueue::MakeRoomFor(const SigningJob& job, Instant now, std::vector<Failure>& failures) {
  if (line_.size() > 0 || busy_ >= sessions_) {
    const auto by_line =
        service_ * static_cast<double>(line_.Ahead(job.caller, job.deadline) + 1) / static_cast<double>(sessions_);
    const auto wait = std::max(by_line, line_.UntilTurn(job.caller, job.deadline));
    // Twice, because the wait is an estimate and an accepted job must be served in time.
    if (2 * wait + service_ > job.deadline - now) {
      return std::unexpected(Exhausted("the deadline cannot be met, so many wait for the HSM; try again later"));
    }
  }
  if (line_.size() >= options_.capacity) {
    auto another = line_.RemoveOneFor(job.caller);
    auto full = Exhausted("the signing queue is full; try again later");
    if (!another) {
      return std::unexpected(std::move(full));
    }
    failures.emplace_back(std::move(another->done), std::move(full));
  }
  return {};
}

// 5 queue (deploy/docs/data-way.md).
Status SigningQueue::Submit(SigningJob job) {
  std::vector<Failure> failures;
  const auto now = steady_clock::now();
  job.submitted = now;
  {
    const MutexLock lock(mutex_);
    if (closing_) {
      return Fail(Code::kUnavailable, "the server is stopping");
    }
    if (paused_ && !job.urgent) {
      return std::unexpected(*paused_);
    }
    if (job.ticket && job.ticket->cancelled) {
      return Fail(Code::kCancelled, "the call was cancelled");
    }
    if (job.urgent) {
      line_.PushFirst(std::move(job));
    } else if (auto room = MakeRoomFor(job, now, failures); room) {
      line_.Push(std::move(job), now);
    } else {
      return room;
    }
    if (!watching_) {
      watched_.notify_all();
    }
  }
  filled_.notify_one();
  Report(failures);
  return {};
}

void SigningQueue::SignNow(SigningKeyPtr key, SigningInput input, SigningJob::Done done) {
  auto limit = steady_clock::duration(kUrgentLimit);
  {
    const MutexLock lock(mutex_);
    limit = std::max(limit, std::chrono::duration_cast<steady_clock::duration>(4 * service_));
  }
  limit = std::max(limit, std::min<steady_clock::duration>(2 * key->first_signature, options_.call_limit));
  const auto shared = std::make_shared<SigningJob::Done>(std::move(done));  // Submit destroys a job that it refuses
  auto accepted = Submit({.key = std::move(key),
                          .input = std::move(input),
                          .caller = {},
                          .deadline = steady_clock::now() + limit,
                          .done = [shared](Result<Signed> result) { (*shared)(std::move(result)); },
                          .urgent = true});
  if (!accepted) {
    (*shared)(std::unexpected(std::move(accepted.error())));
  }
}

void SigningQueue::Cancel(JobTicket& ticket) {
  std::optional<SigningJob> job;
  {
    const MutexLock lock(mutex_);
    ticket.cancelled = true;
    job = line_.Remove(ticket);
  }
  if (job) {
    // gRPC cancels at the deadline too.
    job->done(steady_clock::now() < job->deadline
                  ? Fail(Code::kCancelled, "the call was cancelled")
                  : std::unexpected(TooLate("the deadline passed before the HSM was free")));
  }
}

std::size_t SigningQueue::Waiting() const {
  const MutexLock lock(mutex_);
  return line_.size();
}

void SigningQueue::Pause(Error why) {
  std::vector<SigningJob> waiting;
  {
    const MutexLock lock(mutex_);
    statistics_.pauses += paused_ ? 0 : 1;
    paused_ = why;
    waiting = line_.RemoveAll();
  }
  for (auto& job : waiting) {
    job.done(std::unexpected(why));
  }
}

void SigningQueue::Resume() {
  const MutexLock lock(mutex_);
  paused_.reset();
}

void SigningQueue::OnFailure(std::function<void(const Error&)> failed) {
  const MutexLock lock(mutex_);
  failed_ = std::move(failed);
}

void SigningQueue::OnHang(std::function<void()> hung) {
  const MutexLock lock(mutex_);
  hung_ = std::move(hung);
}

bool SigningQueue::IsPaused() const {
  const MutexLock lock(mutex_);
  return paused_.has_value();
}

void SigningQueue::AwaitLull(milliseconds lull, milliseconds longest, const std::stop_token& stop) {
  MutexLock lock(mutex_);
  const auto began = steady_clock::now();
  while (!stop.stop_requested()) {
    const auto now = steady_clock::now();
    const bool occupied = line_.size() > 0 || busy_ > 0;
    const auto end = std::min(began + longest, (occupied ? now : std::max(began, last_finished_)) + lull);
    if (now >= end) {
      return;
    }
    watched_.wait_until(lock, stop, end, [] { return false; });
  }
}

SigningOccupancy SigningQueue::Occupancy() const {
  const MutexLock lock(mutex_);
  return {.waiting = line_.size(),
          .capacity = options_.capacity,
          .busy = busy_,
          .hung = stuck_,
          .sessions = sessions_,
          .paused = paused_.has_value()};
}

Status SigningQueue::Open(Session& session) {
  auto opened = token_.OpenSigningSession();
  if (!opened) {
    ++statistics_.failed;
    return std::unexpected(opened.error());
  }
  session = std::move(*opened);
  ++statistics_.sessions_opened;
  return {};
}

// After an error the state of a session is unknown.
void SigningQueue::Discard(Session& session) {
  session.reset();
  ++statistics_.failed;
  ++statistics_.sessions_closed;
  ++statistics_.sessions_discarded;
}

Result<Bytes> SigningQueue::Attempt(Session& session, const SigningJob& job) {
  RETURN_IF_ERROR(session ? Status() : Open(session));
  const auto asked = steady_clock::now();
  auto signature = session->Sign(job.key->id, *job.key->algorithm, job.input.text());
  if (!signature) {
    Discard(session);
    return signature;
  }
  statistics_.hsm_time.Add(steady_clock::now() - asked);
  // A stale handle may refer to another key, and a faulty RSA-CRT signature reveals the key.
  if (!job.key->verifier.Verify(job.input.text(), *signature)) {
    Discard(session);
    return Fail(Code::kUnavailable, "the HSM is not available; try again",
                "C_Sign: the signature does not verify with the public key of kid " + job.key->kid);
  }
  return signature;
}

// 5 queue, on a worker: sign, then verify. A failed attempt closes its session, so the second one opens a new session.
Result<Bytes> SigningQueue::SignAndVerify(Session& session, const SigningJob& job) {
  auto signature = Attempt(session, job);
  if (!signature && !job.retried && steady_clock::now() < job.deadline && (job.urgent || !IsPaused())) {
    signature = Attempt(session, job);
  }
  return signature;
}

// Gives the worker the next job. False: the queue is closed and empty.
bool SigningQueue::NextJob(Worker& self) {
  while (true) {
    MutexLock lock(mutex_);
    filled_.wait(lock, [this]() REQUIRES(mutex_) { return closing_ || line_.size() > 0; });
    if (line_.size() == 0) {
      return false;
    }
    const auto now = steady_clock::now();
    auto job = line_.Pop(now);
    if (!job.urgent && !job.retried) {
      statistics_.queue_time.Add(now - job.submitted);
    }
    // An urgent job's limit is of an older estimate, which one slow call may have raised since.
    const auto needed = job.urgent ? Seconds(0) : service_ / 2;
    if (now + std::chrono::duration_cast<steady_clock::duration>(needed) < job.deadline) {
      self.job.emplace(std::move(job));
      self.began = now;
      ++busy_;
      return true;
    }
    service_ *= 0.9;  // otherwise a token that was slow once would count as slow forever
    lock.unlock();
    job.done(std::unexpected(TooLate("the deadline passed before the HSM was free")));
  }
}

// False: the worker was replaced while its call hung.
bool SigningQueue::Finish(Worker& self, Result<Bytes> signature) {
  MutexLock lock(mutex_);
  auto job = std::move(*self.job);
  self.job.reset();
  if (signature) {
    ++signed_;
    const Seconds took = steady_clock::now() - self.began;
    if (!self.stuck) {  // a hang says nothing about the next call
      service_ = service_.count() > 0 ? service_ * 0.875 + took * 0.125 : took;
    }
  } else if (!job.urgent && failed_) {
    failed_(signature.error());
  }
  const bool stuck = self.stuck;
  busy_ -= stuck ? 0 : 1;
  last_finished_ = steady_clock::now();
  lock.unlock();
  if (job.done && signature) {
    job.done(Signed{.input = std::move(job.input).TakeText(), .signature = std::move(*signature)});
  } else if (job.done) {
    job.done(std::unexpected(std::move(signature.error())));
  }
  return !stuck;
}

void SigningQueue::Work(Worker& self) {
  {
    Session session;
    while (NextJob(self) && Finish(self, SignAndVerify(session, *self.job))) {
    }
    statistics_.sessions_closed += session ? 1 : 0;
  }
  const MutexLock lock(mutex_);
  self.ended = true;
  stuck_ -= self.stuck ? 1 : 0;
  ended_.notify_all();
}

// Called when the worker's call hangs. Its job is retried once by another worker.
void SigningQueue::AbandonWorker(Worker& worker, Instant now, std::vector<Failure>& failures) {
  worker.stuck = true;
  ++stuck_;
  --busy_;
  auto& job = *worker.job;
  if (auto done = std::exchange(job.done, {})) {
    if (job.retried || job.urgent || now >= job.deadline || paused_) {
      failures.emplace_back(std::move(done), TooLate("the HSM does not answer"));
    } else {
      line_.PushFirst({.key = job.key,
                       .input = job.input,
                       .caller = job.caller,
                       .deadline = job.deadline,
                       .done = std::move(done),
                       .movable = job.movable,
                       .retried = true});
      filled_.notify_one();
    }
  }
  if (failed_ && !job.urgent) {
    failed_(TooLate("the HSM does not answer"));
  }
}

// Answers expired jobs and replaces workers whose call hangs. True: more calls hang than there are sessions, and not
// because the token changes an object meanwhile.
bool SigningQueue::CheckWorkers(Instant now, std::vector<Failure>& failures) {
  for (auto& job : line_.RemoveExpired(now)) {
    failures.emplace_back(std::move(job.done), TooLate("the deadline passed before the HSM was free"));
  }
  std::size_t working = 0;
  for (auto worker = workers_.begin(); worker != workers_.end();) {
    if (worker->ended && worker->stuck) {
      worker = workers_.erase(worker);  // its thread has finished
      continue;
    }
    if (worker->job && !worker->stuck && now - worker->began >= options_.call_limit) {
      AbandonWorker(*worker, now, failures);
    }
    working += worker->stuck || worker->ended ? 0 : 1;
    if (worker->job && worker->job->done && now >= worker->job->deadline) {
      failures.emplace_back(std::exchange(worker->job->done, {}),
                            TooLate("the HSM did not answer before the deadline"));
    }
    if (worker->job && worker->job->done && worker->job->movable && paused_ && now - worker->began >= kUrgentLimit) {
      failures.emplace_back(std::exchange(worker->job->done, {}), *paused_);
    }
    ++worker;
  }
  const bool hopeless = stuck_ > sessions_;
  for (; working < sessions_ && !hopeless && (!closing_ || line_.size() > 0); ++working) {
    StartWorker();
  }
  return hopeless && !token_.IsChanging();
}

void SigningQueue::Watch(const std::stop_token& stop) {
  std::vector<Failure> failures;
  auto last_seen = steady_clock::now();
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto occupied = [this]() REQUIRES(mutex_) { return line_.size() > 0 || busy_ + stuck_ > 0; };
    const auto now = steady_clock::now();
    last_seen = occupied() ? now : last_seen;
    watching_ = now - last_seen < kWatchAfterLastJob;
    if (watching_) {
      watched_.wait_for(lock, stop, kTick, [] { return false; });
    } else {
      watched_.wait(lock, stop, occupied);
      watching_ = true;
    }
    const bool hangs = CheckWorkers(steady_clock::now(), failures);
    const auto hung = hangs ? std::exchange(hung_, {}) : nullptr;
    lock.unlock();
    Report(failures);
    if (hung) {
      hung();
    }
    lock.lock();
  }
}

}  // namespace assertion
