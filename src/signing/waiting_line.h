#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "signing/signing_job.h"

namespace assertion {

// Waiting jobs, in the order in which they are signed: callers take turns, and the job with the earliest deadline is
// the first of its caller. If deadlines alone decided, callers with short ones would starve the others.
class WaitingLine {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  void Push(SigningJob job, Instant now);

  // Puts the job before all others, outside the turns.
  void PushFirst(SigningJob job) { first_.push_back(std::move(job)); }

  std::size_t size() const { return size_ + first_.size(); }

  // Removes and returns the next job. There must be one.
  SigningJob Pop(Instant now);

  // How many jobs would be signed before one more of this caller, if no other job came.
  std::size_t Ahead(const std::string& caller, Instant deadline) const;

  // Estimated wait of the caller's next job, from how often the caller was served since its oldest job was queued.
  Seconds UntilTurn(const std::string& caller, Instant deadline) const;

  // Makes room for a job of this caller: removes the last job of the caller with most jobs, if it has more than this
  // caller would then have.
  std::optional<SigningJob> RemoveOneFor(const std::string& caller);

  // Removes the job of the ticket, if it waits.
  std::optional<SigningJob> Remove(const JobTicket& ticket);

  std::vector<SigningJob> RemoveExpired(Instant now);

  // Removes all jobs that are not urgent.
  std::vector<SigningJob> RemoveAll();

 private:
  using Jobs = std::map<JobTicket::Place, SigningJob>;
  struct Caller {
    std::string name;
    Jobs jobs;              // never empty
    Instant turn;           // when it was last served, or its first job was queued
    std::size_t turns = 0;  // since its first job was queued
    Seconds interval{0};    // between turns, a moving average; 0: not served twice yet
  };
  using Callers = std::list<Caller>;  // in the order of their turns

  // How many of the caller's own jobs would be signed before one more with that deadline.
  std::size_t OwnAhead(const Caller& caller, Instant deadline) const;
  SigningJob Remove(Callers::iterator caller, Jobs::iterator job);

  std::deque<SigningJob> first_;
  Callers callers_;
  std::map<std::string, Callers::iterator> by_name_;
  std::size_t size_ = 0;  // jobs of callers_
  std::uint64_t number_ = 0;
};

}  // namespace assertion
