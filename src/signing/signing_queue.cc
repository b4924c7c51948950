#include "signing/signing_queue.h"

#include <utility>

namespace assertion {
namespace {

// One signature on the worker's session. Any error discards the session: its state is unknown.
Result<Bytes> SignAndVerify(Token& token, std::unique_ptr<SigningSession>& session, const SigningJob& job) {
  if (!session) {
    auto opened = token.OpenSigningSession();
    if (!opened) {
      return std::unexpected(opened.error());
    }
    session = std::move(*opened);
  }
  auto signature = session->Sign(job.key->handle, *job.key->algorithm, job.input);
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

}  // namespace

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

void SigningQueue::Work() {
  std::unique_ptr<SigningSession> session;
  SigningJob job;
  while (Take(job)) {
    if (std::chrono::steady_clock::now() >= job.deadline) {
      job.done(Fail(Code::kDeadlineExceeded, "the deadline passed before the HSM was free"));
    } else if (auto signature = SignAndVerify(token_, session, job); signature) {
      job.done(Signed{.input = std::move(job.input), .signature = std::move(*signature)});
    } else {
      job.done(std::unexpected(std::move(signature.error())));
    }
    job = {};  // nothing of it stays in memory while this thread waits
  }
}

}  // namespace assertion
