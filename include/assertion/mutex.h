#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

// Attributes of clang's thread safety analysis (-Wthread-safety), which CI runs; other compilers ignore them.
#if defined(__clang__)
#define ASSERTION_THREAD_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
#else
#define ASSERTION_THREAD_ATTRIBUTE(...)
#endif
// Abseil's headers, which gRPC's include, define some of these names with the same meaning.
#undef GUARDED_BY

// The member is read and written only while the mutex is held.
#define GUARDED_BY(...) ASSERTION_THREAD_ATTRIBUTE(guarded_by(__VA_ARGS__))
// The caller of the function holds the mutex.
#define REQUIRES(...) ASSERTION_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
// The caller of the function does not hold the mutex.
#define EXCLUDES(...) ASSERTION_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

namespace assertion {

// std::mutex, known to clang's analysis.
class ASSERTION_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() ASSERTION_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() ASSERTION_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  bool try_lock() ASSERTION_THREAD_ATTRIBUTE(try_acquire_capability(true)) { return mutex_.try_lock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

// Holds a Mutex until the end of the scope, or until unlock(). Fits std::condition_variable_any.
class ASSERTION_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ASSERTION_THREAD_ATTRIBUTE(acquire_capability(mutex)) : lock_(mutex.mutex_) {}
  ~MutexLock() ASSERTION_THREAD_ATTRIBUTE(release_capability()) = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void lock() ASSERTION_THREAD_ATTRIBUTE(acquire_capability()) { lock_.lock(); }
  void unlock() ASSERTION_THREAD_ATTRIBUTE(release_capability()) { lock_.unlock(); }

 private:
  friend class ConditionVariable;
  std::unique_lock<std::mutex> lock_;
};

// std::condition_variable for a MutexLock. A predicate that reads guarded members says so:
// [this]() REQUIRES(mutex_) { return !queue_.empty(); }
class ConditionVariable {
 public:
  void notify_one() { variable_.notify_one(); }
  void notify_all() { variable_.notify_all(); }

  void wait(MutexLock& lock) { variable_.wait(lock.lock_); }

  template <typename Predicate>
  void wait(MutexLock& lock, Predicate predicate) {
    variable_.wait(lock.lock_, std::move(predicate));
  }

  template <typename Clock, typename Duration, typename Predicate>
  bool wait_until(MutexLock& lock, const std::chrono::time_point<Clock, Duration>& instant, Predicate predicate) {
    return variable_.wait_until(lock.lock_, instant, std::move(predicate));
  }

  template <typename Rep, typename Period, typename Predicate>
  bool wait_for(MutexLock& lock, const std::chrono::duration<Rep, Period>& time, Predicate predicate) {
    return variable_.wait_for(lock.lock_, time, std::move(predicate));
  }

 private:
  std::condition_variable variable_;
};

}  // namespace assertion
