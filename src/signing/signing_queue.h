#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "assertion/error.h"
#include "assertion/token.h"
#include "keys/signing_key.h"

namespace assertion {

// What a job comes back as: the text that was signed, and a signature that has been verified.
struct Signed {
  std::string input;
  Bytes signature;
};

struct SigningJob {
  std::shared_ptr<const SigningKey> key;
  std::string input;
  std::chrono::steady_clock::time_point deadline;
  // Called exactly once, on a worker's thread; must not block.
  std::move_only_function<void(Result<Signed>)> done;
};

// A bounded queue before the token, and N workers with one session each. Every accepted job completes exactly once:
// with a verified signature, with DEADLINE_EXCEEDED before it reaches the token, or with the token's error. A job that
// the token fails is tried once more on another session.
class SigningQueue {
 public:
  // `token` must outlive the queue. Sessions are opened when first needed and after any error.
  SigningQueue(Token& token, std::size_t sessions, std::size_t capacity);

  // Finishes all accepted jobs first.
  ~SigningQueue();
  SigningQueue(const SigningQueue&) = delete;
  SigningQueue& operator=(const SigningQueue&) = delete;

  // RESOURCE_EXHAUSTED at once when the queue is full; then, and only then, `done` is never called.
  Status Submit(SigningJob job);

  // Jobs that no worker has taken yet.
  std::size_t Waiting() const;

  // The breaker: refuses jobs with this error, those that wait too, until Resume.
  void Pause(Error why);
  void Resume();

  // Called when a job has failed for good by the token's fault; on a worker's thread, must not call this object.
  void OnFailure(std::function<void()> failed);

  // Signatures that were verified, ever.
  std::uint64_t signed_count() const { return signed_; }

 private:
  using Session = std::unique_ptr<SigningSession>;

  void Work();
  bool Take(SigningJob& job);
  bool IsPaused() const;
  Result<Bytes> Attempt(Session& session, const SigningJob& job);
  Result<Bytes> SignAndVerify(Session& session, const SigningJob& job);

  Token& token_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<SigningJob> jobs_;
  bool closing_ = false;
  std::optional<Error> paused_;
  std::function<void()> failed_;
  std::atomic<std::uint64_t> signed_ = 0;
  std::vector<std::jthread> workers_;
};

}  // namespace assertion
