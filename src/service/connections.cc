#include "service/connections.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "observe/log.h"

namespace assertion::service {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kReserve = 256;         // descriptors that no connection takes
constexpr std::size_t kSelectable = 1024;     // nor these, where there are enough: select(2) knows no others
constexpr std::size_t kMostLeftovers = 64;    // ended, and gRPC still has the descriptor
constexpr milliseconds kGreetingLimit{2000};  // until the greeting has come
constexpr milliseconds kLook{10};             // how often leftovers are looked at
constexpr int kMostAccepted = 256;            // before those that are there are looked at again
constexpr milliseconds kSlice{10};
constexpr Rate kSlices{.per_second = 10, .burst = 50};
constexpr std::chrono::seconds kShortestBan{10};
constexpr std::chrono::seconds kLongestBan{300};
constexpr std::size_t kMostBans = 4096;
constexpr milliseconds kPause{100};  // when there are no descriptors, until there may be some

std::size_t DescriptorLimit() {
  constexpr rlim_t kMost = 1U << 20U;
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(std::min(limit.rlim_cur, kMost))
                                               : kSelectable;
}

std::size_t FloorFor(const ConnectionLimits& limits) {
  const auto limit = DescriptorLimit();
  const auto wanted = limits.acceptors * (2 * limits.total + kMostLeftovers);
  return limit >= kSelectable + wanted ? kSelectable : std::min(kReserve, limit / 2);
}

// New connections of a source that the configuration does not list.
Rate RateOf(std::size_t per_peer) {
  constexpr std::int64_t kBursts = 4;
  constexpr std::int64_t kMost = 1'000'000;
  const auto each = static_cast<std::int64_t>(per_peer);
  return {.per_second = each, .burst = std::min(kMost, kBursts * each)};
}

void CloseDescriptor(int& fd) {
  if (fd >= 0) {
    close(std::exchange(fd, -1));
  }
}

// Once, until it is asked for again; more events within a slice tell nothing.
constexpr std::uint32_t kStirs = EPOLLIN | EPOLLET | EPOLLONESHOT;

std::string Counted(std::size_t number, const char* what) { return std::to_string(number) + " " + what; }

}  // namespace

std::size_t Connections::Fitting(const ConnectionLimits& limits) {
  const auto limit = DescriptorLimit();
  const auto taken = FloorFor(limits) + (limits.acceptors * kMostLeftovers);
  const auto room = limit > taken ? (limit - taken) / (2 * limits.acceptors) : 0;
  return std::min(limits.total, std::max<std::size_t>(1, room));
}

Connections::Connections(ConnectionLimits limits, Acceptor acceptor)
    : limits_{.per_peer = limits.per_peer,
              .total = Fitting(limits),
              .acceptors = limits.acceptors,
              .handshakes = limits.handshakes},
      acceptor_(std::move(acceptor)),
      floor_(static_cast<int>(FloorFor(limits))),
      coming_(RateOf(limits.per_peer)),
      slices_(kSlices) {}

Connections::~Connections() {
  Stop();
  CloseDescriptor(stop_);
  CloseDescriptor(poll_);
}

Status Connections::Start() {
  stop_ = eventfd(0, EFD_CLOEXEC);
  poll_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event stop{.events = EPOLLIN, .data = {.fd = stop_}};
  const auto watches = [this](int socket) {
    epoll_event comes{.events = EPOLLIN, .data = {.fd = socket}};
    return epoll_ctl(poll_, EPOLL_CTL_ADD, socket, &comes) == 0;
  };
  if (stop_ < 0 || poll_ < 0 || epoll_ctl(poll_, EPOLL_CTL_ADD, stop_, &stop) != 0 ||
      !std::ranges::all_of(acceptor_.sockets, watches)) {
    return Fail(Code::kInternal, "connections cannot be watched", std::string("epoll: ") + std::strerror(errno));
  }
  accepting_ = true;
  thread_ = std::jthread([this] { Work(); });
  return {};
}

void Connections::Stop() {
  if (thread_.joinable()) {
    eventfd_write(stop_, 1);
    thread_.join();
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [fd, connection] : connections_) {
    close(fd);
  }
  connections_.clear();
  sources_.clear();
  counted_ = 0;
}

void Connections::Work() {
  // As a batch, which the process is, it would have to wait for its turn while the backlog fills.
  const sched_param none{};
  sched_setscheduler(0, SCHED_OTHER, &none);
  while (true) {
    std::array<epoll_event, 64> events{};
    const int count = epoll_wait(poll_, events.data(), events.size(), Patience());
    std::vector<int> coming;
    for (const auto& event : std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
      const int fd = event.data.fd;
      if (fd == stop_) {
        return;
      }
      if (std::ranges::find(acceptor_.sockets, fd) != acceptor_.sockets.end()) {
        coming.push_back(fd);  // after the others: a number that one of them leaves may be the next one's
      } else if ((event.events & (EPOLLHUP | EPOLLERR)) != 0) {
        Remove(fd);
      } else {
        Examine(fd, (event.events & EPOLLRDHUP) != 0);
      }
    }
    ForgetLeftovers();
    GiveTurns();
    EndTheSilent();
    WatchStirred();
    std::ranges::for_each(coming, [this](int socket) { AcceptSome(socket); });
    Watch(leftovers_.size() < kMostLeftovers && std::chrono::steady_clock::now() >= pause_until_);
  }
}

// For how long there is nothing to do unless something happens, as epoll_wait takes it.
int Connections::Patience() const {
  const auto now = std::chrono::steady_clock::now();
  auto patience = milliseconds(-1);
  const auto within = [&](milliseconds time) { patience = patience.count() < 0 ? time : std::min(patience, time); };
  if (!leftovers_.empty()) {
    within(kLook);
  }
  if (!stirred_.empty()) {
    within(std::max(milliseconds(0), std::chrono::ceil<milliseconds>(slice_end_ - now)));
  }
  if (pause_until_ > now) {
    within(std::chrono::ceil<milliseconds>(pause_until_ - now));
  }
  const std::lock_guard lock(mutex_);
  if (!turns_.empty()) {
    within(kLook);
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

// Whoever cannot be accepted now waits in the socket's backlog.
void Connections::Watch(bool accepting) {
  if (std::exchange(accepting_, accepting) != accepting) {
    for (const int socket : acceptor_.sockets) {
      epoll_event comes{.events = accepting ? static_cast<std::uint32_t>(EPOLLIN) : 0U, .data = {.fd = socket}};
      epoll_ctl(poll_, EPOLL_CTL_MOD, socket, &comes);  // of what is registered: needs no memory
    }
  }
}

// Many at once: a backlog that somebody fills has no room for others.
void Connections::AcceptSome(int socket) {
  for (int accepted = 0; accepted < kMostAccepted; ++accepted) {
    const int low = accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (low < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_until_ = std::chrono::steady_clock::now() + kPause;
      }
      return;
    }
    Receive(low);
  }
}

// What comes too often is closed before it costs more than that.
void Connections::Receive(int low) {
  static SparingLog log;
  auto origin = acceptor_.origin(low);
  const bool listed = origin && acceptor_.listed(origin->counted);
  if (origin && !listed && IsBanned(origin->peer)) {
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
  std::unique_lock lock(mutex_);
  const auto known = sources_.find(counted);
  if (known != sources_.end()) {
    ++known->second.tried;
  }
  const bool too_many = known != sources_.end() && known->second.count >= limits_.per_peer;
  if (too_many || (counted_ >= limits_.total && !MakeRoomFor(counted, listed))) {
    lock.unlock();
    close(fd);
    log.Write(spdlog::level::warn,
              "a connection of " + counted + " is refused: there are " +
                  (too_many ? Counted(limits_.per_peer, "of this peer") : Counted(limits_.total, "in all")));
    return;
  }
  epoll_event events{.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {.fd = fd}};
  if (epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &events) != 0) {
    close(fd);
    return;
  }
  auto& source = sources_[counted];
  ++source.count;
  source.tried = std::max(source.tried, source.count);
  source.listed = listed;
  ++counted_;
  connections_[fd] = {.origin = std::move(origin), .since = std::chrono::steady_clock::now(), .number = ++numbers_};
  greeting_.push_back(fd);
}

// Shuts down the newest connection of the greediest peer, the unlisted before the listed, unless the newcomer is as
// greedy: then one would only take the other's place. Holds the lock.
bool Connections::MakeRoomFor(const std::string& counted, bool listed) {
  const auto own = sources_.find(counted);
  const std::pair newcomer(!listed, own == sources_.end() ? 1 : own->second.count + 1);
  const auto rank = [](const Source& source) { return std::pair(!source.listed, source.count); };
  auto greediest = newcomer;
  for (const auto& [name, other] : sources_) {
    greediest = std::max(greediest, rank(other));
  }
  if (greediest == newcomer) {
    return false;
  }
  // Of all that are as greedy, the one that tries again and again: another only happens to have a second connection,
  // such as one that has just ended.
  auto chosen = connections_.end();
  std::pair<std::size_t, std::uint64_t> most;
  for (auto one = connections_.begin(); one != connections_.end(); ++one) {
    const auto& connection = one->second;
    if (connection.ended) {
      continue;
    }
    const auto& source = sources_.at(connection.origin.counted);
    if (const std::pair tries(source.tried, connection.number); rank(source) == greediest && tries > most) {
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

void Connections::Examine(int fd, bool peer_closed) {
  if (IsWatched(fd)) {
    Stir(fd);
    return;
  }
  const auto greeting = GreetingOf(fd);
  int taken = -1;
  {
    const std::lock_guard lock(mutex_);
    const auto found = connections_.find(fd);
    if (found == connections_.end() || found->second.taken >= 0 || found->second.ended ||
        greeting == Greeting::kIncomplete) {
      return;
    }
    auto& connection = found->second;
    if (greeting == Greeting::kOther || (connection.waits && peer_closed)) {
      End(fd, connection);
    } else if (limits_.handshakes == 0) {
      taken = Take(fd, connection);
    } else if (!std::exchange(connection.waits, true)) {
      std::erase(greeting_, fd);
      turns_.push_back(fd);
    }
  }
  if (taken >= 0) {
    acceptor_.take(taken);
  }
}

// The descriptor for gRPC; negative: there is none, and the connection is ended. Holds the lock.
int Connections::Take(int fd, Connection& connection) {
  int taken = fcntl(fd, F_DUPFD_CLOEXEC, floor_);
  const bool watched = limits_.handshakes == 0 && !acceptor_.listed(connection.origin.counted);
  // EPOLLHUP is always told.
  epoll_event end{.events = watched ? kStirs : static_cast<std::uint32_t>(EPOLLET), .data = {.fd = fd}};
  if (taken < 0 || epoll_ctl(poll_, EPOLL_CTL_MOD, fd, &end) != 0) {
    CloseDescriptor(taken);
    End(fd, connection);
    return -1;
  }
  connection.taken = taken;
  connection.watched = watched;
  std::erase(greeting_, fd);
  return taken;
}

void Connections::GiveTurns() {
  static SparingLog log;
  std::vector<int> taken;
  {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    std::erase_if(handshakes_, [now](const Handshake& one) { return one.until <= now; });
    while (!turns_.empty()) {
      auto& oldest = connections_.at(turns_.front());
      if (oldest.since + kTurnLimit > now) {
        break;
      }
      log.Write(spdlog::level::warn,
                "a connection of " + oldest.origin.counted + " is closed: there are too many unfinished handshakes");
      End(turns_.front(), oldest);
    }
    for (auto turn = NextTurn(); turn != turns_.end(); turn = NextTurn()) {
      const int fd = *turn;
      turns_.erase(turn);
      auto& connection = connections_.at(fd);
      connection.waits = false;
      if (const int one = Take(fd, connection); one >= 0) {
        handshakes_.push_back({.origin = connection.origin, .until = now + kHandshakeLimit});
        taken.push_back(one);
      }
    }
  }
  std::ranges::for_each(taken, acceptor_.take);
}

// Of the source with fewest handshakes under way, the one that greeted first. Holds the lock.
std::vector<int>::iterator Connections::NextTurn() {
  constexpr std::size_t kSources = 8;  // that may have all that they want
  if (turns_.empty() || handshakes_.size() >= limits_.handshakes) {
    return turns_.end();
  }
  std::map<std::string_view, std::size_t> held;
  for (const auto& one : handshakes_) {
    ++held[one.origin.counted];
  }
  auto next = turns_.end();
  auto fewest = std::max<std::size_t>(1, limits_.handshakes / kSources);
  for (auto turn = turns_.begin(); turn != turns_.end() && fewest > 0; ++turn) {
    const auto found = held.find(connections_.at(*turn).origin.counted);
    if (const auto count = found == held.end() ? 0 : found->second; count < fewest) {
      fewest = count;
      next = turn;
    }
  }
  return next;
}

void Connections::Met(const std::string& peer) {
  const std::lock_guard lock(mutex_);
  std::erase_if(handshakes_, [&peer](const Handshake& one) { return one.origin.peer == peer; });
}

// Its end is told by the poll then. Holds the lock.
void Connections::End(int fd, Connection& connection) {
  if (!std::exchange(connection.ended, true)) {
    if (const auto source = sources_.find(connection.origin.counted); --source->second.count == 0) {
      sources_.erase(source);
    }
    --counted_;
    if (std::exchange(connection.waits, false)) {
      std::erase(turns_, fd);
    }
    for (auto& one : handshakes_) {
      if (one.origin.peer == connection.origin.peer) {
        one.until = std::min(one.until, std::chrono::steady_clock::now() + kFailureLimit);
      }
    }
    shutdown(fd, SHUT_RDWR);
    epoll_event end{.events = EPOLLET, .data = {.fd = fd}};  // one that has stirred would tell nothing more
    epoll_ctl(poll_, EPOLL_CTL_MOD, fd, &end);
  }
}

void Connections::Remove(int fd) {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(fd);
  if (found == connections_.end()) {
    return;
  }
  End(fd, found->second);
  struct stat info{};
  if (found->second.taken >= 0 && fstat(fd, &info) == 0) {
    leftovers_.push_back({.fd = found->second.taken, .device = info.st_dev, .inode = info.st_ino});
  } else {
    std::erase(greeting_, fd);
  }
  connections_.erase(found);
  // Not by close alone: gRPC's descriptor keeps the socket, and the poll would go on to tell of this number, which the
  // next connection may have.
  epoll_ctl(poll_, EPOLL_CTL_DEL, fd, nullptr);
  close(fd);
}

bool Connections::IsWatched(int fd) const {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(fd);
  return found != connections_.end() && found->second.watched && !found->second.ended;
}

// Octets have come, or wait for gRPC.
void Connections::Stir(int fd) {
  static SparingLog log;
  Origin origin;
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto& connection = connections_.at(fd);  // only this thread takes one away
    origin = connection.origin;
    number = connection.number;
  }
  const auto now = std::chrono::steady_clock::now();
  if (acceptor_.listed(origin.counted)) {
    epoll_event end{.events = EPOLLET, .data = {.fd = fd}};
    epoll_ctl(poll_, EPOLL_CTL_MOD, fd, &end);
    const std::lock_guard lock(mutex_);
    connections_.at(fd).watched = false;
    return;
  }
  if (stirred_.empty()) {
    slice_end_ = now + kSlice;
  }
  if (charged_.contains(origin.peer) || slices_.Take(origin.peer, now)) {
    charged_.insert(origin.peer);
    stirred_[fd] = number;
    return;
  }
  const auto length = BanPeer(origin.peer);
  const auto ended = EndThoseOf([&origin](const std::string& peer) { return peer == origin.peer; });
  log.Write(spdlog::level::warn, Counted(ended, "connections of ") + origin.peer +
                                     ", which is in no list, are ended: they take too much time; it is refused for " +
                                     Counted(static_cast<std::size_t>(length.count()), "s"));
}

// Those that have stirred in the slice that is over may tell so again.
void Connections::WatchStirred() {
  if (stirred_.empty() || std::chrono::steady_clock::now() < slice_end_) {
    return;
  }
  charged_.clear();
  const std::lock_guard lock(mutex_);
  for (const auto& [fd, number] : std::exchange(stirred_, {})) {
    const auto found = connections_.find(fd);
    if (found != connections_.end() && found->second.number == number) {
      epoll_event stirs{.events = kStirs, .data = {.fd = fd}};
      epoll_ctl(poll_, EPOLL_CTL_MOD, fd, &stirs);
    }
  }
}

// For how long.
std::chrono::seconds Connections::BanPeer(const std::string& peer) {
  const auto now = std::chrono::steady_clock::now();
  const auto forgotten = [now](const Ban& ban) { return ban.until + ban.length < now; };
  if (bans_.size() >= kMostBans) {
    std::erase_if(bans_, [&](const auto& one) { return forgotten(one.second); });
  }
  auto& ban = bans_[peer];
  ban.length = ban.length.count() == 0 || forgotten(ban) ? kShortestBan : std::min(2 * ban.length, kLongestBan);
  ban.until = now + ban.length;
  return ban.length;
}

bool Connections::IsBanned(const std::string& peer) const {
  const auto found = bans_.find(peer);
  return found != bans_.end() && std::chrono::steady_clock::now() < found->second.until;
}

void Connections::EndTheSilent() {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  for (const int fd : greeting_) {
    const auto found = connections_.find(fd);
    if (found == connections_.end() || found->second.since + kGreetingLimit > now) {
      break;  // they stand in order
    }
    End(fd, found->second);
  }
}

void Connections::ForgetLeftovers() {
  std::erase_if(leftovers_, [](const Leftover& leftover) {
    struct stat info{};
    return fstat(leftover.fd, &info) != 0 || info.st_dev != leftover.device || info.st_ino != leftover.inode;
  });
}

std::size_t Connections::EndThoseOf(const std::function<bool(const std::string& peer)>& condemned) {
  struct Open {
    int fd;
    std::uint64_t number;
    std::string peer;
  };
  std::vector<Open> open;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [fd, connection] : connections_) {
      if (!connection.ended) {
        open.push_back({.fd = fd, .number = connection.number, .peer = connection.origin.peer});
      }
    }
  }
  std::erase_if(open, [&condemned](const Open& one) { return !condemned(one.peer); });
  const std::lock_guard lock(mutex_);
  for (const auto& one : open) {
    if (const auto found = connections_.find(one.fd);
        found != connections_.end() && found->second.number == one.number) {
      End(one.fd, found->second);
    }
  }
  return open.size();
}

}  // namespace assertion::service
