#include "signing/waiting_line.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace assertion {
namespace {

// How many intervals the average is of. Sessions that began together end together, so turns come in bunches of as many
// as there are sessions; an average of few would take a pause between two bunches for what each turn costs.
constexpr std::size_t kTurns = 256;

}  // namespace

void WaitingLine::Push(SigningJob job, Instant now) {
  const auto known = by_name_.find(job.caller);
  const auto caller = known != by_name_.end()
                          ? known->second
                          : callers_.insert(callers_.end(), Caller{.name = job.caller, .jobs = {}, .turn = now});
  if (known == by_name_.end()) {
    by_name_.emplace(job.caller, caller);
  }
  const JobTicket::Place place{job.deadline, number_++};
  if (job.ticket) {
    job.ticket->caller = job.caller;
    job.ticket->place = place;
  }
  caller->jobs.emplace(place, std::move(job));
  ++size_;
}

SigningJob WaitingLine::Remove(Callers::iterator caller, Jobs::iterator job) {
  auto removed = std::move(job->second);
  if (removed.ticket) {
    removed.ticket->place.reset();
  }
  caller->jobs.erase(job);
  --size_;
  if (caller->jobs.empty()) {
    by_name_.erase(caller->name);
    callers_.erase(caller);
  }
  return removed;
}

SigningJob WaitingLine::Pop(Instant now) {
  if (!first_.empty()) {
    auto job = std::move(first_.front());
    first_.pop_front();
    return job;
  }
  const auto next = callers_.begin();
  const Seconds interval = now - std::exchange(next->turn, now);
  // The first turn comes when a session is free, which says nothing about how often turns come.
  if (next->turns++ > 0) {
    next->interval += (interval - next->interval) / static_cast<double>(std::min(next->turns - 1, kTurns));
  }
  callers_.splice(callers_.end(), callers_, next);  // to the end of the turns
  return Remove(next, next->jobs.begin());
}

std::size_t WaitingLine::OwnAhead(const Caller& caller, Instant deadline) const {
  // Fast path: usually the new job is the last to expire.
  const auto& jobs = caller.jobs;
  return jobs.rbegin()->first.first <= deadline
             ? jobs.size()
             : static_cast<std::size_t>(std::distance(jobs.begin(), jobs.upper_bound({deadline, number_})));
}

std::size_t WaitingLine::Ahead(const std::string& caller, Instant deadline) const {
  const auto known = by_name_.find(caller);
  const auto own = known == by_name_.end() ? 0 : OwnAhead(*known->second, deadline);
  auto ahead = first_.size() + own;
  for (const auto& other : callers_) {
    ahead += known != by_name_.end() && &other == &*known->second ? 0 : std::min(other.jobs.size(), own + 1);
  }
  return ahead;
}

WaitingLine::Seconds WaitingLine::UntilTurn(const std::string& caller, Instant deadline) const {
  const auto known = by_name_.find(caller);
  return known == by_name_.end()
             ? Seconds(0)
             : known->second->interval * static_cast<double>(OwnAhead(*known->second, deadline) + 1);
}

std::optional<SigningJob> WaitingLine::RemoveOneFor(const std::string& caller) {
  const auto most = std::ranges::max_element(callers_, {}, [](const Caller& one) { return one.jobs.size(); });
  const auto known = by_name_.find(caller);
  const auto own = known == by_name_.end() ? 0 : known->second->jobs.size();
  if (most == callers_.end() || most->jobs.size() <= own + 1) {
    return std::nullopt;
  }
  return Remove(most, std::prev(most->jobs.end()));
}

std::optional<SigningJob> WaitingLine::Remove(const JobTicket& ticket) {
  const auto known = by_name_.find(ticket.caller);
  if (!ticket.place || known == by_name_.end()) {
    return std::nullopt;
  }
  const auto job = known->second->jobs.find(*ticket.place);
  return job == known->second->jobs.end() ? std::nullopt : std::optional(Remove(known->second, job));
}

std::vector<SigningJob> WaitingLine::RemoveExpired(Instant now) {
  std::vector<SigningJob> expired;
  for (auto job = first_.begin(); job != first_.end();) {
    if (job->deadline <= now) {
      expired.push_back(std::move(*job));
      job = first_.erase(job);
    } else {
      ++job;
    }
  }
  for (auto caller = callers_.begin(); caller != callers_.end();) {
    const auto next = std::next(caller);
    while (caller->jobs.begin()->first.first <= now) {
      const bool last = caller->jobs.size() == 1;
      expired.push_back(Remove(caller, caller->jobs.begin()));
      if (last) {
        break;
      }
    }
    caller = next;
  }
  return expired;
}

std::vector<SigningJob> WaitingLine::RemoveAll() {
  std::vector<SigningJob> all;
  std::deque<SigningJob> urgent;
  for (auto& job : first_) {
    if (job.urgent) {
      urgent.push_back(std::move(job));
    } else {
      all.push_back(std::move(job));
    }
  }
  first_ = std::move(urgent);
  while (!callers_.empty()) {
    all.push_back(Remove(callers_.begin(), callers_.begin()->jobs.begin()));
  }
  return all;
}

}  // namespace assertion
