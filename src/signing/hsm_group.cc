#include "signing/hsm_group.h"

#include <algorithm>
#include <optional>

#include "jws/compact.h"

namespace assertion {
namespace {

using std::chrono::steady_clock;

// Errors worth retrying on another HSM. Cancellation and overload are not.
bool IsRetryable(const Error& error) {
  return error.code != Code::kCancelled && error.code != Code::kResourceExhausted;
}

// The error to report of several HSMs: the first, preferably of one that has a key for the client.
void Prefer(std::optional<Error>& error, const Error& next) {
  if (!error || (error->code == Code::kFailedPrecondition && next.code != Code::kFailedPrecondition)) {
    error = next;
  }
}

}  // namespace

// One job, the HSMs that it was not submitted to yet, and the error to report if they fail too.
struct HsmGroup::Attempt {
  AssertionJob job;
  std::vector<std::shared_ptr<const Hsm>> left;  // the last element is the next to try
  std::optional<Error> error;                    // the first, preferably of an HSM that has a key for the client

  void Remember(const Error& next) { Prefer(error, next); }

  bool HasAnother() const {
    return std::ranges::any_of(
        left, [&](const auto& hsm) { return hsm->keys.SigningKeyOf(job.claims.client_id()).has_value(); });
  }
};

void HsmGroup::Add(std::size_t rank, Hsm hsm) {
  const MutexLock lock(adding_);
  auto next = std::make_shared<Ranked>(*hsms_.load());
  next->emplace_back(rank, std::make_shared<const Hsm>(std::move(hsm)));
  std::ranges::stable_sort(*next, {}, &Ranked::value_type::first);
  hsms_.store(std::move(next));
}

std::vector<std::shared_ptr<const Hsm>> HsmGroup::All() const {
  std::vector<std::shared_ptr<const Hsm>> all;
  for (const auto ranked = hsms_.load(); const auto& [rank, hsm] : *ranked) {
    all.push_back(hsm);
  }
  return all;
}

std::shared_ptr<const Hsm> HsmGroup::First() const { return hsms_.load()->front().second; }

Result<std::shared_ptr<const Hsm>> HsmGroup::ByName(std::string_view name) const {
  if (name.empty()) {
    return First();
  }
  std::string known;
  for (const auto ranked = hsms_.load(); const auto& [rank, hsm] : *ranked) {
    if (hsm->name == name) {
      return hsm;
    }
    known += (known.empty() ? "" : ", ") + hsm->name;
  }
  return Fail(Code::kNotFound, "hsm: no HSM named \"" + std::string(name) + "\" (available: " + known + ")");
}

Result<HsmGroup::Found> HsmGroup::Find(std::string_view client_id, std::string_view kid) const {
  std::optional<Error> error;
  for (const auto& hsm : All()) {
    const auto client = hsm->keys.FindClient(client_id);
    if (client && hsm->keys.HasCopiesOf(*client)) {
      continue;
    }
    if (auto entry = hsm->keys.Find(client_id, kid); entry) {
      return Found{.hsm = hsm, .entry = std::move(*entry)};
    } else if (!error) {
      error = entry.error();
    }
  }
  return std::unexpected(*error);
}

std::chrono::steady_clock::time_point HsmGroup::CountsUntil(std::string_view client_id) const {
  auto latest = std::chrono::steady_clock::time_point::min();
  for (const auto& hsm : All()) {
    latest = std::max(latest, hsm->keys.CountsUntil(client_id));
  }
  return latest;
}

ClientKeys HsmGroup::KeysOf(std::string_view client_id) const {
  ClientKeys all;
  for (const auto& hsm : All()) {
    const auto snapshot = hsm->keys.Snapshot();
    const auto found = snapshot->find(client_id);
    if (found == snapshot->end() || found->second.copies) {
      continue;
    }
    all.version = std::max(all.version, found->second.version);
    for (const auto& entry : found->second.keys) {
      if (all.WithKid(entry.record.kid) == nullptr) {  // a cloned token holds the same key
        all.keys.push_back(entry);
      }
    }
  }
  return all;
}

Result<SigningKeyPtr> HsmGroup::SigningKeyOf(std::string_view client_id) const {
  SigningKeyPtr of_paused;
  std::optional<Error> error;
  for (const auto& hsm : All()) {
    auto key = hsm->keys.SigningKeyOf(client_id);
    if (!key) {
      Prefer(error, key.error());
    } else if (!hsm->queue.IsPaused()) {
      return key;
    } else if (of_paused == nullptr) {
      of_paused = *std::move(key);
    }
  }
  return of_paused == nullptr ? Result<SigningKeyPtr>(std::unexpected(*error)) : of_paused;
}

Status HsmGroup::Submit(AssertionJob job) const {
  auto attempt = std::make_shared<Attempt>(Attempt{.job = std::move(job), .left = All(), .error = {}});
  std::ranges::reverse(attempt->left);
  return TryNext(attempt);
}

// Submits the job to the next HSMs until one accepts it.
Status HsmGroup::TryNext(const std::shared_ptr<Attempt>& attempt) {
  while (!attempt->left.empty()) {
    const auto hsm = std::move(attempt->left.back());
    attempt->left.pop_back();
    auto key = hsm->keys.SigningKeyOf(attempt->job.claims.client_id());  // 3 key (deploy/docs/data-way.md)
    auto accepted = key ? SubmitTo(attempt, hsm, std::move(*key)) : std::unexpected(key.error());
    if (accepted || !IsRetryable(accepted.error())) {
      return accepted;
    }
    attempt->Remember(accepted.error());
  }
  return std::unexpected(*attempt->error);
}

Status HsmGroup::SubmitTo(const std::shared_ptr<Attempt>& attempt, const std::shared_ptr<const Hsm>& hsm,
                          SigningKeyPtr key) {
  const auto& job = attempt->job;
  ASSIGN_OR_RETURN(auto input, AssertionInput(*key, job.claims));  // 4 input
  auto place = std::make_shared<JobTicket>();
  if (job.ticket) {
    const MutexLock lock(job.ticket->mutex);
    if (job.ticket->cancelled) {
      return Fail(Code::kCancelled, "the call was cancelled");
    }
    job.ticket->queue = &hsm->queue;
    job.ticket->place = place;
  }
  return hsm->queue.Submit(  // 5 queue
      {.key = key,
       .input = std::move(input),
       .caller = job.caller,
       .deadline = job.deadline,
       .done = [attempt, hsm, key](Result<Signed> made) { Finish(attempt, hsm, key, std::move(made)); },
       .ticket = std::move(place),
       .movable = attempt->HasAnother()});
}

void HsmGroup::Finish(const std::shared_ptr<Attempt>& attempt, const std::shared_ptr<const Hsm>& hsm,
                      const SigningKeyPtr& key, Result<Signed> made) {
  if (made && !hsm->keys.IsGood(*key)) {
    made = Fail(Code::kUnavailable, "the key was revoked while this call waited; try again");
    attempt->left.push_back(hsm);
  }
  if (made) {
    // 7 reply: the text is complete, but is released only after 6 audit.
    attempt->job.done(Assertion{.jws = jws::Compact(std::move(made->input), made->signature), .key = key});
    return;
  }
  attempt->Remember(made.error());
  const bool another = IsRetryable(made.error()) && steady_clock::now() < attempt->job.deadline;
  const auto accepted = another ? TryNext(attempt) : std::unexpected(made.error());
  if (!accepted) {
    attempt->job.done(std::unexpected(accepted.error()));
  }
}

void HsmGroup::Cancel(AssertionTicket& ticket) {
  SigningQueue* queue = nullptr;
  std::shared_ptr<JobTicket> place;
  {
    const MutexLock lock(ticket.mutex);
    ticket.cancelled = true;
    queue = ticket.queue;
    place = ticket.place;
  }
  if (queue != nullptr) {
    queue->Cancel(*place);
  }
}

}  // namespace assertion
