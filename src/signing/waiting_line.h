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

// Waiting jobs in the order in which they will be signed: callers take turns, and each caller's job with the earliest
// deadline comes first. Ordered by deadline alone, a caller with short deadlines would starve the others.
class WaitingLine {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  void Push(SigningJob job, Instant now);

  // Adds a job that goes before all others, outside the turns.
  void PushFirst(SigningJob job) { first_.push_back(std::move(job)); }

  std::size_t size() const { return size_ + first_.size(); }

  // Removes the next job. The line must not be empty.
  SigningJob Pop(Instant now);

  // How many waiting jobs would be signed before a new job of this caller.
  std::size_t Ahead(const std::string& caller, Instant deadline) const;

  // Estimated wait of a new job of this caller, from how often the caller was served since its oldest job was queued.
  Seconds UntilTurn(const std::string& caller, Instant deadline) const;

  // Makes room for a new job of this caller: removes the last job of the caller with the most jobs, if these are more
  // than this caller would then have.
  std::optional<SigningJob> GiveWay(const std::string& caller);

  // Removes the job of the ticket, if it waits.
  std::optional<SigningJob> Take(const JobTicket& ticket);

  std::vector<SigningJob> TakeExpired(Instant now);

  // Removes all jobs that are not urgent.
  std::vector<SigningJob> TakeAll();

 private:
  using Jobs = std::map<JobTicket::Place, SigningJob>;
  struct Caller {
    std::string name;
    Jobs jobs;            // never empty
    Instant turn;         // the last one, or the arrival of its first job
    Seconds interval{0};  // between turns, as a moving average; 0: no turn yet
  };
  using Callers = std::list<Caller>;  // in the order of their turns

  // How many of the caller's own jobs would be signed before a new one with that deadline.
  std::size_t OwnAhead(const Caller& caller, Instant deadline) const;
  SigningJob Take(Callers::iterator caller, Jobs::iterator job);

  std::deque<SigningJob> first_;
  Callers callers_;
  std::map<std::string, Callers::iterator> by_name_;
  std::size_t size_ = 0;  // jobs of callers_
  std::uint64_t number_ = 0;
};

}  // namespace assertion
