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

// Jobs that wait, in the order in which they are to be done: the callers take turns, and of each caller's the one with
// the earliest deadline comes first. By deadline alone whoever asks for the shortest ones would starve the others.
class WaitingLine {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  void Push(SigningJob job, Instant now);

  // Before all others, outside all turns.
  void PushFirst(SigningJob job) { first_.push_back(std::move(job)); }

  std::size_t size() const { return size_ + first_.size(); }

  // The next. There must be one.
  SigningJob Pop(Instant now);

  // How many would be done before one more of this caller's, if nobody else came.
  std::size_t Ahead(const std::string& caller, Instant deadline) const;

  // When that one's turn would come, by how often this caller's turns have come since it waits: others do come.
  Seconds UntilTurn(const std::string& caller, Instant deadline) const;

  // Makes room for one of this caller's by the last job of the caller who has most, if that is more than this one has.
  std::optional<SigningJob> GiveWay(const std::string& caller);

  // The job of the ticket, if it waits.
  std::optional<SigningJob> Take(const JobTicket& ticket);

  std::vector<SigningJob> TakeExpired(Instant now);

  // All that are not urgent.
  std::vector<SigningJob> TakeAll();

 private:
  using Jobs = std::map<JobTicket::Place, SigningJob>;
  struct Caller {
    std::string name;
    Jobs jobs;            // never empty
    Instant turn;         // its last one, or when it came
    Seconds interval{0};  // from one turn to the next, as a moving average; 0: it had none yet
  };
  using Callers = std::list<Caller>;  // by turn

  // How many of the caller's own would be done before one more of that deadline.
  std::size_t OwnAhead(const Caller& caller, Instant deadline) const;
  SigningJob Take(Callers::iterator caller, Jobs::iterator job);

  std::deque<SigningJob> first_;
  Callers callers_;
  std::map<std::string, Callers::iterator> by_name_;
  std::size_t size_ = 0;  // without first_
  std::uint64_t number_ = 0;
};

}  // namespace assertion
