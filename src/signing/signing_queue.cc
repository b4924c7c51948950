#include "signing/signing_queue.h"

#include <utility>

namespace assertion {
SigningQueue::SigningQueue(Token& token, std::size_t sessions, std::size_t capacity)
    : token_(token), capacity_(capacity) {
  for (std::size_t i = 0; i < sessions; ++i) {
    workers_.emplace_back([this] { Work(); });
  }
}

SigningQueue::~SigningQueue() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  filled_.notify_all();
  workers_.clear();  // joins
}

Status SigningQueue::Submit(SigningJob job) {
  {
    const std::lock_guard lock(mutex_);
    if (closing_) {
      return Fail(Code::kUnavailable, "the server is stopping");
    }
    if (paused_) {
      return std::unexpected(*paused_);
    }
    if (jobs_.size() >= capacity_) {
      return Fail(Code::kResourceExhausted, "the signing queue is full; try again later");
    }
    jobs_.push_back(std::move(job));
  }
  filled_.notify_one();
  return {};
}

std::size_t SigningQueue::Waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

// False when there is no more work, ever.
bool SigningQueue::Take(SigningJob& job) {
  std::unique_lock lock(mutex_);
  filled_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
  if (jobs_.empty()) {
    return false;
  }
  job = std::move(jobs_.front());
  jobs_.pop_front();
  return true;
}

void SigningQueue::Pause(Error why) {
  std::deque<SigningJob> waiting;
  {
    const std::lock_guard lock(mutex_);
    paused_ = why;
    waiting.swap(jobs_);
  }
  for (auto& job : waiting) {
    job.done(std::unexpected(why));
  }
}

void SigningQueue::Resume() {
  const std::lock_guard lock(mutex_);
  paused_.reset();
}

void SigningQueue::OnFailure(std::function<void()> failed) {
  const std::lock_guard lock(mutex_);
  failed_ = std::move(failed);
}

bool SigningQueue::IsPaused() const {
  const std::lock_guard lock(mutex_);
  return paused_.has_value();
}

// One signature. Any error discards the session: its state is unknown.
Result<Bytes> SigningQueue::Attempt(Session& session, const SigningJob& job) {
  if (!session) {
    auto opened = token_.OpenSigningSession();
    if (!opened) {
      return std::unexpected(opened.error());
    }
    session = std::move(*opened);
  }
  auto signature = session->Sign(job.key->id, *job.key->algorithm, job.input);
  if (!signature) {
    session.reset();
    return signature;
  }
  // A stale handle may mean another key by now, and a faulty RSA-CRT signature would give the key away.
  if (!job.key->verifier.Verify(job.input, *signature)) {
    session.reset();
    return Fail(Code::kUnavailable, "the HSM is not available; try again",
                "C_Sign: the signature does not verify with the public key of kid " + job.key->kid);
  }
  return signature;
}

// The second attempt is on a session that was opened after the first.
Result<Bytes> SigningQueue::SignAndVerify(Session& session, const SigningJob& job) {
  auto signature = Attempt(session, job);
  if (!signature && std::chrono::steady_clock::now() < job.deadline && !IsPaused()) {
    signature = Attempt(session, job);
  }
  if (signature) {
    ++signed_;
  } else if (const std::lock_guard lock(mutex_); failed_) {
    failed_();
  }
  return signature;
}

void SigningQueue::Work() {
  Session session;
  SigningJob job;
  while (Take(job)) {
    if (std::chrono::steady_clock::now() >= job.deadline) {
      job.done(Fail(Code::kDeadlineExceeded, "the deadline passed before the HSM was free"));
    } else if (auto signature = SignAndVerify(session, job); signature) {
      job.done(Signed{.input = std::move(job.input), .signature = std::move(*signature)});
    } else {
      job.done(std::unexpected(std::move(signature.error())));
    }
    job = {};  // nothing of it stays in memory while this thread waits
  }
}

}  // namespace assertion
