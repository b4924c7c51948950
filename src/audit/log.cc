#include "audit/log.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

namespace assertion::audit {
namespace {

using Clock = std::chrono::steady_clock;

// Time between attempts to write a log that cannot be written.
constexpr std::chrono::milliseconds kRetry{250};

// A rotation that keeps failing is reported once in this time.
constexpr std::chrono::hours kReportAgain{1};

std::chrono::system_clock::time_point Now() { return std::chrono::system_clock::now(); }

std::string LedgerBody(const LedgerVersion& seen) {
  return Body(nlohmann::ordered_json{{"hsm", seen.hsm},
                                     {"serial", seen.serial},
                                     {"client_id", seen.client_id},
                                     {"version", seen.version},
                                     {"hash", seen.hash}},
              kLedgerVersion, Now());
}

Error Unavailable(const Error& error) {
  return {Code::kUnavailable, "the audit log cannot be written; try again later", error.detail};
}

}  // namespace

Log::Together::Together(Log& log) : log_(log) {
  const MutexLock lock(log_.mutex_);
  ++log_.together_;
}

Log::Together::~Together() {
  const MutexLock lock(log_.mutex_);
  --log_.together_;
  log_.filled_.notify_one();
}

Result<std::unique_ptr<Log>> Log::Open(LogOptions options, const std::vector<Signer>& signers, const PublicKeys& keys,
                                       OnState on_state, OnRotation on_rotation) {
  LogFile::Found found;
  ASSIGN_OR_RETURN(auto file, LogFile::Open(options.path, keys, found));
  const auto last = std::ranges::find(signers, found.kid, &Signer::kid);
  const auto& signer = last == signers.end() ? signers.front() : *last;
  std::unique_ptr<Log> log(
      new Log(std::move(options), signer, std::move(on_state), std::move(on_rotation), std::move(file), found.head));
  log->checkpoint_ = found.head.sequence - found.unproven;  // a file that was rotated ends with a checkpoint
  for (const auto& seen : found.ledger_versions) {
    log->RememberIfHigher(seen);
  }
  const auto bodies = log->file_.size() == 0 ? log->BeginningOfFile(found.unproven, found.torn)
                                             : std::vector{log->OpenedBody(found.unproven, found.torn, 0)};
  RETURN_IF_ERROR(log->Write(bodies));
  log->worker_ = std::jthread([raw = log.get()] { raw->Work(); });
  return log;
}

Log::Log(LogOptions options, Signer signer, OnState on_state, OnRotation on_rotation, LogFile file, Head head)
    : options_(std::move(options)),
      signer_(std::move(signer)),
      on_state_(std::move(on_state)),
      on_rotation_(std::move(on_rotation)),
      file_(std::move(file)),
      head_(std::move(head)),
      next_checkpoint_(std::chrono::steady_clock::now() + options_.checkpoint_interval) {}

Log::~Log() {
  {
    const MutexLock lock(mutex_);
    closing_ = true;
  }
  filled_.notify_all();
}

std::string Log::OpenedBody(std::uint64_t unproven, std::size_t torn, std::size_t ledgers) const {
  nlohmann::ordered_json members = {{"version", 2}, {"unproven", unproven}};
  if (ledgers != 0) {
    members["ledgers"] = ledgers;
  }
  if (torn != 0) {
    members["torn_octets"] = torn;
  }
  return Body(members, kOpened, Now());
}

// The first lines of a file: the number of known ledger versions, then each of them.
std::vector<std::string> Log::BeginningOfFile(std::uint64_t unproven, std::size_t torn) const {
  const auto ledgers = ledger_versions();
  std::vector<std::string> bodies = {OpenedBody(unproven, torn, ledgers.size())};
  for (const auto& seen : ledgers) {
    bodies.push_back(LedgerBody(seen));
  }
  return bodies;
}

// False: a version that is as high is known already.
bool Log::RememberIfHigher(const LedgerVersion& seen) {
  const MutexLock lock(mutex_);
  const auto [known, is_new] =
      ledger_versions_.try_emplace(seen.serial + '\n' + seen.hsm + '\n' + seen.client_id, seen);
  if (!is_new && known->second.version >= seen.version) {
    return false;
  }
  known->second = seen;
  return true;
}

void Log::Record(const LedgerVersion& seen) {
  Done done = [](const Status&) {};
  if (RememberIfHigher(seen)) {
    static_cast<void>(
        Enqueue(LedgerBody(seen), done));  // refused while broken: WriteBatch writes it when the log resumes
  }
}

std::vector<LedgerVersion> Log::ledger_versions() const {
  const MutexLock lock(mutex_);
  std::vector<LedgerVersion> all;
  all.reserve(ledger_versions_.size());
  for (const auto& [key, seen] : ledger_versions_) {
    all.push_back(seen);
  }
  return all;
}

// The free space is checked once a second, by one of the callers.
bool Log::Withhold(const Event& event) {
  constexpr std::chrono::steady_clock::duration kInterval = std::chrono::seconds(1);
  if (event.entitled || options_.reserve == 0) {
    return false;
  }
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  auto due = next_space_check_.load();
  if (now.count() >= due && next_space_check_.compare_exchange_strong(due, (now + kInterval).count())) {
    struct statvfs space{};
    scarce_ = statvfs(options_.path.c_str(), &space) == 0 &&
              std::uint64_t{space.f_bavail} * std::uint64_t{space.f_frsize} < options_.reserve;
  }
  if (!scarce_) {
    return false;
  }
  withheld_ += std::max<std::uint64_t>(event.count, 1);
  return true;
}

void Log::Record(const Event& event, Done done) {
  if (Withhold(event)) {
    done({});
    return;
  }
  if (const auto taken = Enqueue(Body(event, Now()), done); !taken) {
    done(taken);
  }
}

// Moves from `done` only when it returns OK.
Status Log::Enqueue(std::string body, Done& done) {
  const MutexLock lock(mutex_);
  if (!state_) {
    ++lost_;
    return state_;
  }
  if (waiting_.size() >= options_.capacity) {
    return Fail(Code::kResourceExhausted, "too many calls wait for the audit log; try again later");
  }
  waiting_.push_back({.body = std::move(body), .done = std::move(done), .recorded = std::chrono::steady_clock::now()});
  if (waiting_.size() == enough_) {
    filled_.notify_one();
  }
  return {};
}

Status Log::state() const {
  const MutexLock lock(mutex_);
  return state_;
}

void Log::Reopen() {
  {
    const MutexLock lock(mutex_);
    reopen_ = true;
  }
  filled_.notify_one();
}

Log::Position Log::position() const {
  const MutexLock lock(mutex_);
  return position_;
}

Log::Backlog Log::backlog() const {
  const MutexLock lock(mutex_);
  Backlog backlog{.waiting = waiting_.size() + in_hand_, .lag = {}, .unproven = since_checkpoint_};
  if (backlog.waiting > 0) {
    backlog.lag = std::chrono::steady_clock::now() - (in_hand_ > 0 ? oldest_in_hand_ : waiting_.front().recorded);
  }
  return backlog;
}

void Log::Work() {
  std::vector<Entry> batch;
  while (true) {
    std::optional<Proof> proof;
    bool reopen = false;
    bool closing = false;
    {
      MutexLock lock(mutex_);
      const auto wake = [this]() REQUIRES(mutex_) { return closing_ || reopen_ || proof_ || !waiting_.empty(); };
      if (!state_) {
        filled_.wait_for(lock, kRetry, wake);
      } else if (since_checkpoint_ > 0 && !proving_) {
        filled_.wait_until(lock, next_checkpoint_, wake);
      } else {
        filled_.wait(lock, wake);
      }
      Gather(lock);
      batch.swap(waiting_);
      in_hand_ = batch.size();
      oldest_in_hand_ = batch.empty() ? oldest_in_hand_ : batch.front().recorded;
      proof = std::exchange(proof_, std::nullopt);
      reopen = std::exchange(reopen_, false);
      closing = closing_;
    }
    if (reopen && file_.IsElsewhere()) {
      Rotate();
    }
    WriteBatch(batch);
    if (proof) {
      EndCheckpoint(*proof);
    }
    if (closing) {
      Checkpoint();
      return;
    }
    const bool ends = NeedsAnotherFile();
    // Not while the log cannot be written: the token would sign one useless checkpoint after the other.
    if (IsDue() && state()) {
      if (ends) {
        Checkpoint();  // so that the file ends with all its lines proven
      } else if (!proving_) {
        BeginCheckpoint();
      }
    }
    if (ends && since_checkpoint_ == 0 && state()) {  // a file that others changed is theirs to move away
      Rotate();
    }
  }
}

// Waits for more lines when many calls are under way, and for those of callers that were just served: they ask again
// at once, in calls that are too short to be seen under way. Two groups of callers that take turns would else pay two
// syncs for what one could hold. See Expectation.
void Log::Gather(MutexLock& lock) {
  constexpr std::size_t kShare = 4;
  if (!state_ || waiting_.empty()) {
    return;
  }
  const auto wait_for = [&](std::size_t lines, Clock::duration longest) REQUIRES(mutex_) {
    enough_ = std::max<std::size_t>(1, lines);
    filled_.wait_for(lock, longest,
                     [this]() REQUIRES(mutex_) { return closing_ || reopen_ || waiting_.size() >= enough_; });
    enough_ = 1;
  };
  wait_for(under_way_ / kShare, options_.gather);
  wait_for(callers_ * (kShare - 1) / kShare,  // one: a lonely caller does not wait
           options_.gather_again.value_or(std::min(options_.gather, write_time_ / 2)));
  if (together_ > 0) {
    filled_.wait_for(lock, options_.gather, [this]() REQUIRES(mutex_) { return closing_ || together_ == 0; });
  }
}

bool Log::NeedsAnotherFile() const {
  return Clock::now() >= next_rotation_ &&
         (file_.size() >= options_.rotate_octets + begun_ || (!rotation_failed_.empty() && file_.IsElsewhere()));
}

bool Log::IsDue() const {
  return (since_checkpoint_ >= options_.checkpoint_lines && !signer_away_) ||
         (since_checkpoint_ > 0 && std::chrono::steady_clock::now() >= next_checkpoint_);
}

// Writes the lines and tells each caller whether its line is durable. While the log is broken, or events were refused
// that no LogResumed line counts, such a line goes first: it makes an attempt even when no caller waits.
void Log::WriteBatch(std::vector<Entry>& batch) {
  std::vector<std::string> bodies;
  bool resumes = false;
  std::uint64_t lost = 0;
  {
    const MutexLock lock(mutex_);
    lost = lost_;
    resumes = !state_ || lost > 0;
  }
  if (resumes) {
    bodies.push_back(Body(nlohmann::ordered_json{{"refused", lost}}, kResumed, Now()));
    for (const auto& seen : ledger_versions()) {
      bodies.push_back(LedgerBody(seen));  // a refused one may be among them
    }
  }
  const auto withheld = scarce_ || batch.empty() ? 0 : withheld_.exchange(0);
  if (withheld > 0) {
    bodies.push_back(Body(nlohmann::ordered_json{{"count", withheld}}, kWithheld, Now()));
  }
  bodies.reserve(bodies.size() + batch.size());
  for (auto& entry : batch) {
    bodies.push_back(std::move(entry.body));
  }
  if (bodies.empty()) {
    return;
  }
  const auto began = Clock::now();
  const auto written = Write(bodies);
  write_time_ = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  if (!written) {
    withheld_ += withheld;
  }
  SetState(written, lost);
  const auto now = std::chrono::steady_clock::now();
  {
    const MutexLock lock(mutex_);
    in_hand_ = 0;
    lost_ += written ? 0 : batch.size();
    callers_ = batch.size() + waiting_.size();
  }
  const auto outcome = written ? Status() : std::unexpected(Unavailable(written.error()));
  for (auto& entry : batch) {
    if (written) {
      durable_time_.Add(now - entry.recorded);
    }
    entry.done(outcome);
  }
  batch.clear();  // keeps its room: Record would make it anew while it holds the lock
}

Status Log::Write(const std::vector<std::string>& bodies) {
  auto head = head_;
  std::string lines;
  for (const auto& body : bodies) {
    lines.append(Chain(head, body)).push_back('\n');
  }
  auto committed = Commit(lines, head);
  if (committed) {
    since_checkpoint_ += bodies.size();
  }
  return committed;
}

Status Log::Commit(std::string_view lines, const Head& head) {
  auto appended = file_.Append(lines);
  if (appended) {
    head_ = head;
    const MutexLock lock(mutex_);
    position_ = {.head = head_, .checkpoint = checkpoint_};
  }
  return appended;
}

void Log::SetState(const Status& state, std::uint64_t told) {
  bool changed = false;
  {
    const MutexLock lock(mutex_);
    changed = state_.has_value() != state.has_value();
    state_ = state ? Status() : std::unexpected(Unavailable(state.error()));
    if (state) {
      lost_ -= told;  // more were refused meanwhile, or since another file was begun: the next batch tells those
    }
  }
  if (changed && on_state_) {
    on_state_(state);
  }
}

// Does not wait for the token: lines are written meanwhile.
void Log::BeginCheckpoint() {
  proving_ = true;
  auto payload = CheckpointPayload(head_, Now());
  signer_.sign(payload, [this, covered = head_, payload](Result<std::string> jws) mutable {
    const MutexLock lock(mutex_);
    proof_.emplace(Proof{.covered = std::move(covered), .payload = std::move(payload), .jws = std::move(jws)});
    filled_.notify_one();
  });
}

// When it was not signed, the next attempt waits for the interval: a token that does not answer is not asked for every
// batch.
void Log::EndCheckpoint(const Proof& proof) {
  proving_ = false;
  next_checkpoint_ = std::chrono::steady_clock::now() + options_.checkpoint_interval;
  signer_away_ = !proof.jws;
  if (!proof.jws) {
    return;
  }
  auto head = head_;
  const auto line = Chain(head, CheckpointBody(proof.payload, *proof.jws));
  const auto before = std::exchange(checkpoint_, ProvenBy(proof.covered.sequence, head.sequence));
  const auto committed = Commit(line + "\n", head);
  if (committed) {
    since_checkpoint_ = head.sequence - checkpoint_;
  } else {
    checkpoint_ = before;
    SetState(committed);
  }
}

Log::Proof Log::AwaitProof() {
  MutexLock lock(mutex_);
  filled_.wait(lock, [this]() REQUIRES(mutex_) { return proof_.has_value(); });
  return *std::exchange(proof_, std::nullopt);
}

// Proves all lines written so far, and waits for the token.
void Log::Checkpoint() {
  if (proving_) {
    EndCheckpoint(AwaitProof());
  }
  if (since_checkpoint_ > 0) {
    BeginCheckpoint();
    EndCheckpoint(AwaitProof());
  }
}

void Log::Rotate() {
  const auto rotated = file_.Rotate();
  ReportRotation(rotated);
  if (!rotated) {  // lines still go to the old file
    next_rotation_ = Clock::now() + options_.checkpoint_interval;
    return;
  }
  const auto beginning = BeginningOfFile(0, 0);
  const auto opened = Write(beginning);
  begun_ = opened && beginning.size() > 1 ? file_.size() : 0;
  SetState(opened);
}

void Log::ReportRotation(const Status& rotated) {
  const auto before = std::exchange(rotation_failed_, rotated ? "" : rotated.error().detail);
  const auto now = Clock::now();
  const bool again = !rotated && now - rotation_reported_ >= kReportAgain;
  if (before != rotation_failed_ || again) {
    rotation_reported_ = now;
    if (on_rotation_) {
      on_rotation_(rotated);
    }
  }
}

}  // namespace assertion::audit
