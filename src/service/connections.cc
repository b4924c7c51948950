#include "service/connections.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "assertion/scheduling.h"
#include "observe/log.h"

namespace assertion::service {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGreetingLimit{2000};  // until the greeting has come
constexpr milliseconds kRecheck{10};          // leftovers and turns are checked so often
constexpr int kMostAccepted = 256;            // then events of existing connections are handled again
constexpr milliseconds kPause{100};           // without accepting, when there are no descriptors

void CloseDescriptor(int& fd) {
  if (fd >= 0) {
    close(std::exchange(fd, -1));
  }
}

// One event, until it is armed again: more events within a slice tell nothing new.
constexpr std::uint32_t kFirstOctets = EPOLLIN | EPOLLET | EPOLLONESHOT;
constexpr std::uint32_t kEndAlone = EPOLLET;  // EPOLLHUP is always reported

std::string CountOf(std::size_t number, const char* what) { return std::to_string(number) + " " + what; }

}  // namespace

Connections::Connections(ConnectionLimits limits, Acceptor acceptor)
    : limits_{.per_peer = limits.per_peer,
              .total = FittingConnections(limits),
              .acceptors = limits.acceptors,
              .handshakes = limits.handshakes},
      acceptor_(std::move(acceptor)),
      floor_(LowestConnectionDescriptor(limits)),
      coming_(RateOfStrangers(limits.per_peer)),
      turns_(limits.handshakes) {}

Connections::~Connections() {
  Stop();
  const MutexLock lock(mutex_);
  for (const auto& [fd, connection] : connections_) {
    close(fd);
  }
}

Status Connections::Start() {
  RETURN_IF_ERROR(poll_.Open());
  if (!std::ranges::all_of(acceptor_.sockets, [this](int socket) { return poll_.Add(socket, EPOLLIN); })) {
    return Fail(Code::kInternal, "connections cannot be watched", std::string("epoll_ctl: ") + std::strerror(errno));
  }
  accepting_ = true;
  thread_ = std::jthread([this] { Work(); });
  return {};
}

void Connections::Stop() {
  if (thread_.joinable()) {
    poll_.Stop();
    thread_.join();
  }
  const MutexLock lock(mutex_);
  std::erase_if(connections_, [](const auto& entry) {
    const auto& [fd, connection] = entry;
    return connection.handed_over < 0 && close(fd) == 0;
  });
}

void Connections::EndIdle(const std::function<bool(const std::string& name)>& busy) {
  const MutexLock lock(mutex_);
  for (auto& [fd, connection] : connections_) {
    // gRPC names a connection by its descriptor or by its address: see LocalListener, TcpSockets.
    if (!busy("fd:" + std::to_string(connection.handed_over)) && !busy(connection.origin.peer) &&
        !std::exchange(connection.ended, true)) {
      shutdown(fd, SHUT_RDWR);
    }
  }
}

void Connections::Work() {
  // The process runs as SCHED_BATCH: with that this thread would wait for its turn while the backlog fills.
  ChangeScheduling(SCHED_BATCH, SCHED_OTHER);
  while (true) {
    std::vector<int> coming;
    for (const auto& event : poll_.Wait(Patience())) {
      const int fd = event.data.fd;
      if (poll_.IsStop(event)) {
        return;
      }
      if (std::ranges::find(acceptor_.sockets, fd) != acceptor_.sockets.end()) {
        coming.push_back(fd);  // handled last: a new connection may get a number that one of the others gives up
      } else if ((event.events & (EPOLLHUP | EPOLLERR)) != 0) {
        Remove(fd);
      } else {
        HandleEvent(fd, (event.events & EPOLLRDHUP) != 0);
      }
    }
    leftovers_.ForgetClosed();
    GiveTurns();
    EndSilentOnes();
    WatchAgain();
    std::ranges::for_each(coming, [this](int socket) { AcceptSome(socket); });
    SetAccepting(leftovers_.size() < kMostLeftovers && std::chrono::steady_clock::now() >= pause_until_);
  }
}

// The timeout for epoll_wait: when there is something to do without an event.
int Connections::Patience() const {
  const auto now = std::chrono::steady_clock::now();
  auto patience = milliseconds(-1);
  const auto within = [&](milliseconds time) { patience = patience.count() < 0 ? time : std::min(patience, time); };
  if (leftovers_.size() > 0) {
    within(kRecheck);
  }
  if (const auto end = slices_.end()) {
    within(std::max(milliseconds(0), std::chrono::ceil<milliseconds>(*end - now)));
  }
  if (pause_until_ > now) {
    within(std::chrono::ceil<milliseconds>(pause_until_ - now));
  }
  const MutexLock lock(mutex_);
  if (turns_.IsAnyWaiting()) {
    within(kRecheck);
  }
  for (const auto fd : greeting_) {
    const auto found = connections_.find(fd);
    if (found != connections_.end()) {
      within(std::max(milliseconds(0), std::chrono::ceil<milliseconds>(found->second.since + kGreetingLimit - now)));
      break;  // the oldest
    }
  }
  return static_cast<int>(patience.count());
}

// Connections that cannot be accepted now wait in the socket's backlog.
void Connections::SetAccepting(bool accepting) {
  if (std::exchange(accepting_, accepting) != accepting) {
    for (const int socket : acceptor_.sockets) {
      poll_.Change(socket, accepting ? EPOLLIN : 0U);  // needs no memory
    }
  }
}

// Accepts many at once: while an attacker fills the backlog it has no room for others.
void Connections::AcceptSome(int socket) {
  for (int accepted = 0; accepted < kMostAccepted; ++accepted) {
    const int low = accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (low < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_until_ = std::chrono::steady_clock::now() + kPause;
      }
      return;
    }
    CheckOrigin(low);
  }
}

// A source that comes too often is refused before it costs more than the accept.
void Connections::CheckOrigin(int low) {
  static SparingLog log;
  auto origin = acceptor_.origin(low);
  const bool listed = origin && acceptor_.listed(origin->counted);
  if (origin && !listed && bans_.IsBanned(origin->peer, std::chrono::steady_clock::now())) {
    CloseDescriptor(low);
    return;
  }
  const bool in_time = origin && (listed || coming_.Take(origin->counted, std::chrono::steady_clock::now()));
  const int fd = in_time ? fcntl(low, F_DUPFD_CLOEXEC, floor_) : -1;
  CloseDescriptor(low);
  if (fd >= 0) {
    Add(fd, std::move(*origin));
  } else if (origin && !in_time) {
    log.Write(spdlog::level::warn, "a connection of " + origin->counted + " is refused: it opens too many a second");
  }
}

void Connections::Add(int fd, Origin origin) {
  static SparingLog log;
  const auto& counted = origin.counted;
  const bool listed = acceptor_.listed(counted);
  MutexLock lock(mutex_);
  sources_.Try(counted);
  if (sources_.total() >= limits_.total || sources_.CountOf(counted) >= limits_.per_peer) {
    EndThoseThatPeersClosed(counted);
  }
  const bool too_many = sources_.CountOf(counted) >= limits_.per_peer;
  if (too_many || (sources_.total() >= limits_.total && !MakeRoomFor(counted, listed))) {
    lock.unlock();
    close(fd);
    log.Write(spdlog::level::warn,
              "a connection of " + counted + " is refused: there are " +
                  (too_many ? CountOf(limits_.per_peer, "of this peer") : CountOf(limits_.total, "in all")));
    return;
  }
  if (!poll_.Add(fd, EPOLLIN | EPOLLRDHUP | EPOLLET)) {
    close(fd);
    return;
  }
  sources_.Add(counted, listed);
  connections_[fd] = {.origin = std::move(origin), .since = std::chrono::steady_clock::now(), .number = ++numbers_};
  greeting_.push_back(fd);
}

// A caller that closes a connection and opens another keeps both places until gRPC lets go of the first.
void Connections::EndThoseThatPeersClosed(const std::string& counted) {
  for (auto& [fd, connection] : connections_) {
    if (connection.ended || connection.origin.counted != counted) {
      continue;
    }
    pollfd state{.fd = fd, .events = POLLRDHUP, .revents = 0};
    if (poll(&state, 1, 0) > 0) {
      End(fd, connection);
    }
  }
}

// Shuts down the newest connection of the greediest peer, unlisted peers before listed ones. False if the newcomer is
// as greedy: then one would only take the place of the other.
bool Connections::MakeRoomFor(const std::string& counted, bool listed) {
  const auto greediest = sources_.GreedierThan(counted, listed);
  if (!greediest) {
    return false;
  }
  // Among peers that are as greedy, the one that tried most often: another may only happen to have a second connection,
  // for example one that has just ended.
  auto chosen = connections_.end();
  std::pair<std::size_t, std::uint64_t> most;
  for (auto one = connections_.begin(); one != connections_.end(); ++one) {
    const auto& connection = one->second;
    if (connection.ended) {
      continue;
    }
    const std::pair tries(sources_.TriesOf(connection.origin.counted, *greediest), connection.number);
    if (tries.first > 0 && tries > most) {
      most = tries;
      chosen = one;
    }
  }
  if (chosen == connections_.end()) {
    return false;
  }
  End(chosen->first, chosen->second);
  return true;
}

Connections::Greeting Connections::GreetingOf(int fd) const {
  std::array<char, kGreetingOctets> octets{};
  const auto count = recv(fd, octets.data(), octets.size(), MSG_PEEK | MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
    return Greeting::kIncomplete;
  }
  return count > 0 ? acceptor_.greeting({octets.data(), static_cast<std::size_t>(count)}) : Greeting::kOther;
}

void Connections::HandleEvent(int fd, bool peer_closed) {
  if (IsWatched(fd)) {
    ChargeSlice(fd);
    return;
  }
  const auto greeting = GreetingOf(fd);
  int handed_over = -1;
  {
    const MutexLock lock(mutex_);
    const auto found = connections_.find(fd);
    if (found == connections_.end() || found->second.handed_over >= 0 || found->second.ended ||
        greeting == Greeting::kIncomplete) {
      return;
    }
    auto& connection = found->second;
    if (greeting == Greeting::kOther || (connection.waits && peer_closed)) {
      End(fd, connection);
    } else if (limits_.handshakes == 0) {
      handed_over = Duplicate(fd, connection);
    } else if (!std::exchange(connection.waits, true)) {
      std::erase(greeting_, fd);
      turns_.Wait(fd, connection.origin.counted, connection.since);
    }
  }
  if (handed_over >= 0) {
    acceptor_.hand_over(handed_over);
  }
}

// Makes the descriptor for gRPC. Negative: there is none left, and the connection is ended.
int Connections::Duplicate(int fd, Connection& connection) {
  int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, floor_);
  const bool watched = limits_.handshakes == 0 && !acceptor_.listed(connection.origin.counted);
  if (duplicate < 0 || !poll_.Change(fd, watched ? kFirstOctets : kEndAlone)) {
    CloseDescriptor(duplicate);
    End(fd, connection);
    return -1;
  }
  connection.handed_over = duplicate;
  connection.watched = watched;
  std::erase(greeting_, fd);
  return duplicate;
}

void Connections::GiveTurns() {
  std::vector<int> handed_over;
  {
    const auto now = std::chrono::steady_clock::now();
    const MutexLock lock(mutex_);
    turns_.Expire(now);
    CloseOverdue(now);
    for (auto turn = turns_.Next(); turn; turn = turns_.Next()) {
      auto& connection = connections_.at(*turn);
      connection.waits = false;
      if (const int one = Duplicate(*turn, connection); one >= 0) {
        turns_.Begin(connection.origin.peer, connection.origin.counted, now);
        handed_over.push_back(one);
      }
    }
  }
  std::ranges::for_each(handed_over, acceptor_.hand_over);
}

void Connections::CloseOverdue(Instant now) {
  static SparingLog log;
  for (auto overdue = turns_.Overdue(now); overdue; overdue = turns_.Overdue(now)) {
    auto& connection = connections_.at(*overdue);
    log.Write(spdlog::level::warn,
              "a connection of " + connection.origin.counted + " is closed: there are too many unfinished handshakes");
    End(*overdue, connection);
  }
}

void Connections::CompleteHandshake(const std::string& peer) {
  const MutexLock lock(mutex_);
  turns_.Complete(peer);
}

// Shuts the connection down; the poll then reports its end, which removes it.
void Connections::End(int fd, Connection& connection) {
  if (!std::exchange(connection.ended, true)) {
    sources_.Remove(connection.origin.counted);
    if (std::exchange(connection.waits, false)) {
      turns_.Leave(fd);
    }
    if (turns_.Fail(connection.origin.peer, std::chrono::steady_clock::now())) {
      static SparingLog log;
      log.Write(spdlog::level::warn, "a connection of " + connection.origin.peer +
                                         " ended before its first call: if its TLS handshake failed, the line of this "
                                         "moment about a handshake says why; told once a minute for an address");
    }
    shutdown(fd, SHUT_RDWR);
    poll_.Change(fd, kEndAlone);  // arms a watched one again, which would report nothing
  }
}

void Connections::Remove(int fd) {
  const MutexLock lock(mutex_);
  const auto found = connections_.find(fd);
  if (found == connections_.end()) {
    return;
  }
  End(fd, found->second);
  if (found->second.handed_over < 0 || !leftovers_.Add(found->second.handed_over, fd)) {
    std::erase(greeting_, fd);
  }
  connections_.erase(found);
  // close alone does not do: gRPC's descriptor keeps the socket, and the poll would go on to report this number, which
  // the next connection may have.
  poll_.Remove(fd);
  close(fd);
}

bool Connections::IsWatched(int fd) const {
  const MutexLock lock(mutex_);
  const auto found = connections_.find(fd);
  return found != connections_.end() && found->second.watched && !found->second.ended;
}

// Octets have come, or wait for gRPC to read them.
void Connections::ChargeSlice(int fd) {
  static SparingLog log;
  Origin origin;
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex_);
    const auto& connection = connections_.at(fd);  // only this thread removes one
    origin = connection.origin;
    number = connection.number;
  }
  const auto now = std::chrono::steady_clock::now();
  if (acceptor_.listed(origin.counted)) {
    poll_.Change(fd, kEndAlone);
    const MutexLock lock(mutex_);
    connections_.at(fd).watched = false;
    return;
  }
  if (slices_.Charge(fd, number, origin.peer, now)) {
    return;
  }
  const auto length = bans_.Ban(origin.peer, std::chrono::steady_clock::now());
  const auto ended = EndThoseOf([&origin](const std::string& peer) { return peer == origin.peer; });
  log.Write(spdlog::level::warn, CountOf(ended, "connections of ") + origin.peer +
                                     ", which is in no list, are ended: they take too much time; it is refused for " +
                                     CountOf(static_cast<std::size_t>(length.count()), "s"));
}

// After the slice, the connections that were busy in it are watched for their next octets.
void Connections::WatchAgain() {
  const auto busy = slices_.TakeEnded(std::chrono::steady_clock::now());
  if (busy.empty()) {
    return;
  }
  const MutexLock lock(mutex_);
  for (const auto& [fd, number] : busy) {
    const auto found = connections_.find(fd);
    if (found != connections_.end() && found->second.number == number) {
      poll_.Change(fd, kFirstOctets);
    }
  }
}

void Connections::EndSilentOnes() {
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock(mutex_);
  for (const int fd : greeting_) {
    const auto found = connections_.find(fd);
    if (found == connections_.end() || found->second.since + kGreetingLimit > now) {
      break;  // the others came later
    }
    End(fd, found->second);
  }
}

std::size_t Connections::EndThoseOf(const std::function<bool(const std::string& peer)>& condemned) {
  struct Open {
    int fd;
    std::uint64_t number;
    std::string peer;
  };
  std::vector<Open> open;
  {
    const MutexLock lock(mutex_);
    for (const auto& [fd, connection] : connections_) {
      if (!connection.ended) {
        open.push_back({.fd = fd, .number = connection.number, .peer = connection.origin.peer});
      }
    }
  }
  std::erase_if(open, [&condemned](const Open& one) { return !condemned(one.peer); });
  const MutexLock lock(mutex_);
  for (const auto& one : open) {
    if (const auto found = connections_.find(one.fd);
        found != connections_.end() && found->second.number == one.number) {
      End(one.fd, found->second);
    }
  }
  return open.size();
}

}  // namespace assertion::service
