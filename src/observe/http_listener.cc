#include "observe/http_listener.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/descriptor.h"
#include "assertion/scheduling.h"
#include "observe/http_connection.h"
#include "observe/http_host.h"
#include "observe/log.h"
#include "observe/wiped_answer.h"
#include "observe/wire.h"

namespace assertion {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr milliseconds kPause{100};  // without accepting, when there are no descriptors
constexpr int kAtOnce = 64;          // connections accepted in a row, before events of the others are handled
constexpr std::size_t kWorkers = 2;  // threads that make pages and shake hands
constexpr int kSelectable = 1024;
constexpr std::size_t kMany = 8192;  // descriptors

std::string SourceOf(const sockaddr_storage& address) {
  constexpr std::size_t kBeforeV4 = 12;  // octets before the IPv4 address in a mapped IPv6 address
  constexpr std::size_t kPrefix = 8;     // an IPv6 /64: one machine has all of its addresses
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return {reinterpret_cast<const char*>(&v4.sin_addr), sizeof v4.sin_addr};
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  const std::string octets(reinterpret_cast<const char*>(&v6.sin6_addr), sizeof v6.sin6_addr);
  return IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) ? octets.substr(kBeforeV4) : octets.substr(0, kPrefix);
}

std::size_t DescriptorLimit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) : 0;
}

}  // namespace

// Belongs to its thread. Only HttpConnection::Work runs on another.
class HttpListener::Loop final : public HttpConnection::Loop {
 public:
  Loop(Options options, HttpPages pages)
      : options_(std::move(options)), pages_(std::move(pages)), visitors_(options_.limits) {}
  explicit Loop(Local local)
      : options_{.field = local.field, .host = {}, .limits = local.limits},
        local_(std::move(local)),
        visitors_(options_.limits) {}

  ~Loop() override {
    StopAccepting(kHttpFarewellLimit);
    if (thread_.joinable()) {
      thread_.join();
    }
    workers_.join();
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Status Listen();
  Status ListenLocally();
  void Run();
  void StopAccepting(milliseconds grace) {
    asio::post(*context_, [this, grace] { Stop(grace); });
  }
  int port() const { return port_; }

  asio::io_context& context() override { return *context_; }
  const HttpPages* pages() const override { return pages_ ? &*pages_ : nullptr; }
  bool IsAskedAs(std::string_view host) const override {
    return !judges_host_ || NamesThisMachine(host, options_.host);
  }
  std::function<void()> Handle(Visitors::Number number, const HttpRequest& request) override;
  bool Charge(std::optional<uid_t> user) override { return !user || local_.charge(*user); }
  void NoteAnswered(Visitors::Number number) override { visitors_.SetAnswering(number, false); }
  void End(Visitors::Number number) override;
  void Recycle(Descriptor socket) override;
  void WaitForWorker(Visitors::Number number) override;

 private:
  void Accept();
  void AcceptSome();
  Descriptor AcceptOne(sockaddr_storage& from);
  void Pause();
  void Begin(Descriptor socket, const sockaddr_storage& from);
  void GiveWork();
  void Stop(milliseconds grace);

  const Options options_;
  const std::optional<HttpPages> pages_;  // none: the handler of local_ answers
  const Local local_;
  // Handlers may answer after the loop has ended: what they post then is never run.
  const std::shared_ptr<asio::io_context> context_ = std::make_shared<asio::io_context>(1);
  asio::ip::tcp::acceptor acceptor_{*context_};  // only watches the socket: AcceptOne accepts
  asio::steady_timer pause_{*context_};
  int port_ = 0;
  bool judges_host_ = false;
  bool stopping_ = false;
  Visitors visitors_;
  std::map<Visitors::Number, std::shared_ptr<HttpConnection>> connections_;
  std::deque<Visitors::Number> waiting_;  // for a worker
  std::size_t working_ = 0;
  // Lower descriptors are left to modules that use select(2), where there are enough higher ones.
  const int floor_ = DescriptorLimit() >= kMany ? kSelectable : 0;
  Descriptor nothing_;  // the spares are copies of it
  std::vector<Descriptor> spares_;
  asio::thread_pool workers_{kWorkers};
  std::thread thread_;
};

// Does not set SO_REUSEPORT: with it a second process could share the port in silence.
Status HttpListener::Loop::Listen() {
  asio::ip::tcp::resolver resolver(*context_);
  error_code error;
  const auto found =
      resolver.resolve(options_.host, std::to_string(options_.port), asio::ip::tcp::resolver::passive, error);
  for (auto one = found.begin(); !error && one != found.end(); ++one) {
    const auto& endpoint = one->endpoint();
    static_cast<void>(acceptor_.open(endpoint.protocol(), error));
    if (!error) {
      static_cast<void>(acceptor_.set_option(asio::socket_base::reuse_address(true), error));
      static_cast<void>(acceptor_.bind(endpoint, error));
    }
    if (!error) {
      static_cast<void>(acceptor_.listen(SOMAXCONN, error));
    }
    if (!error) {
      static_cast<void>(acceptor_.non_blocking(true, error));
      port_ = acceptor_.local_endpoint().port();
      judges_host_ = endpoint.address().is_loopback() && !options_.tls;  // no page has a certificate for its name here
      fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
      break;
    }
    error_code ignored;
    static_cast<void>(acceptor_.close(ignored));
    error = std::next(one) == found.end() ? error : error_code();
  }
  if (!acceptor_.is_open()) {
    return Fail(Code::kAddressUnusable,
                options_.field + ": cannot listen on " + options_.host + " port " + std::to_string(options_.port) +
                    ": is it this machine's address, and free?",
                error.message());
  }
  nothing_ = Descriptor(eventfd(0, EFD_CLOEXEC));
  while (spares_.size() < options_.spares) {
    spares_.emplace_back(fcntl(nothing_.get(), F_DUPFD_CLOEXEC, 0));
  }
  return {};
}

Status HttpListener::Loop::ListenLocally() {
  error_code error;
  if (listen(local_.socket, SOMAXCONN) == 0) {
    const int own = fcntl(local_.socket, F_DUPFD_CLOEXEC, 0);  // asio closes it
    static_cast<void>(acceptor_.assign(asio::ip::tcp::v4(), own, error));
  } else {
    error = error_code(errno, boost::system::system_category());
  }
  return error ? Fail(Code::kAddressUnusable, options_.field + ": cannot listen", error.message()) : Status();
}

void HttpListener::Loop::Run() {
  Accept();
  thread_ = std::thread([this] {
    // The process runs as SCHED_BATCH: with that this thread would wait for its turn while the backlog fills.
    ChangeScheduling(SCHED_BATCH, SCHED_OTHER);
    context_->run();
  });
}

void HttpListener::Loop::Accept() {
  if (!stopping_) {
    acceptor_.async_wait(acceptor_.wait_read, [this](error_code error) {
      if (!error) {
        AcceptSome();
      }
    });
  }
}

void HttpListener::Loop::AcceptSome() {
  for (int i = 0; i < kAtOnce; ++i) {
    sockaddr_storage from{};
    auto socket = AcceptOne(from);
    const bool full = socket.get() < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    if (full && spares_.empty()) {
      Pause();
      return;
    }
    if (full) {
      spares_.pop_back();
    } else if (socket.get() >= 0) {
      Begin(std::move(socket), from);
    } else if (errno == EAGAIN) {
      break;
    }
  }
  Accept();
}

Descriptor HttpListener::Loop::AcceptOne(sockaddr_storage& from) {
  socklen_t size = sizeof from;
  Descriptor accepted(
      accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (floor_ == 0 || accepted.get() < 0) {
    return accepted;
  }
  // The low ones are for modules that use select(2).
  Descriptor moved(fcntl(accepted.get(), F_DUPFD_CLOEXEC, floor_));
  return moved.get() < 0 ? std::move(accepted) : std::move(moved);
}

void HttpListener::Loop::Pause() {
  static SparingLog log;
  log.Write(spdlog::level::warn, options_.field + ": a connection waits: there are no descriptors");
  pause_.expires_after(kPause);
  pause_.async_wait([this](error_code error) {
    if (!error) {
      Accept();
    }
  });
}

void HttpListener::Loop::Begin(Descriptor socket, const sockaddr_storage& from) {
  std::optional<uid_t> user;
  if (local_.user) {
    user = local_.user(socket.get());
    if (!user) {
      return;
    }
  }
  const auto added = visitors_.Add(user ? std::to_string(*user) : SourceOf(from), user && local_.listed(*user));
  if (added.replaced) {
    End(*added.replaced);
  }
  if (!added.number) {
    return;
  }
  const auto number = *added.number;
  try {
    auto wire = options_.tls ? Wire(std::move(socket), options_.tls()) : Wire(std::move(socket));
    const auto connection = std::make_shared<HttpConnection>(*this, number, std::move(wire), user);
    connections_.emplace(number, connection);
    connection->Begin();
  } catch (const std::exception&) {  // there is no memory to watch it
    End(number);
  }
}

void HttpListener::Loop::End(Visitors::Number number) {
  visitors_.Remove(number);
  std::erase(waiting_, number);
  if (const auto found = connections_.find(number); found != connections_.end()) {
    const auto connection = std::move(found->second);
    connections_.erase(found);
    connection->End();
  }
  if (stopping_ && connections_.empty()) {
    pause_.cancel();
  }
}

// Closes the socket. When a spare was given up, its number becomes a spare instead, before another thread can get it.
void HttpListener::Loop::Recycle(Descriptor socket) {
  if (spares_.size() < options_.spares && dup3(nothing_.get(), socket.get(), O_CLOEXEC) >= 0) {
    spares_.push_back(std::move(socket));
  }
}

void HttpListener::Loop::WaitForWorker(Visitors::Number number) {
  waiting_.push_back(number);
  GiveWork();
}

void HttpListener::Loop::GiveWork() {
  while (working_ < kWorkers && !waiting_.empty()) {
    const auto connection = connections_.at(waiting_.front());
    waiting_.pop_front();
    ++working_;
    connection->BeginWork();
    asio::post(workers_, [this, connection, busy = asio::make_work_guard(*context_)] {
      connection->Work();
      asio::post(*context_, [this, connection] {
        --working_;
        connection->FinishWork();
        GiveWork();
      });
    });
  }
}

// The handler may answer on any thread, when the connection or the loop has ended.
std::function<void()> HttpListener::Loop::Handle(Visitors::Number number, const HttpRequest& request) {
  visitors_.SetAnswering(number, true);
  return local_.handler(request, [this, context = context_, number](HttpAnswer answer) mutable {
    asio::post(*context, [this, number, answer = WipedAnswer(std::move(answer))]() mutable {
      if (const auto found = connections_.find(number); found != connections_.end()) {
        found->second->Take(answer.Take());
      }
    });
  });
}

// Ends what is left after `grace`.
void HttpListener::Loop::Stop(milliseconds grace) {
  if (std::exchange(stopping_, true)) {
    return;
  }
  error_code ignored;
  static_cast<void>(acceptor_.close(ignored));
  pause_.cancel();
  const auto all = connections_;
  for (const auto& [number, connection] : all) {
    if (!connection->IsAnswering()) {
      End(number);
    }
  }
  if (!connections_.empty()) {
    pause_.expires_after(grace);
    pause_.async_wait([this](error_code error) {
      while (!error && !connections_.empty()) {
        End(connections_.begin()->first);
      }
    });
  }
}

HttpListener::HttpListener(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

HttpListener::~HttpListener() = default;

int HttpListener::port() const { return loop_->port(); }

// While a source opens connections as fast as it can, each of its connections lives until per_source newer ones have
// come: enough for a probe from the same address, for example behind a NAT, to be answered.
Visitors::Limits HttpListener::PublicLimits() {
  constexpr std::size_t kShare = 16;
  constexpr std::size_t kMost = 512;
  const auto total = std::clamp<std::size_t>(DescriptorLimit() / kShare, 2, kMost);
  return {.total = total, .per_source = total / 2};
}

Visitors::Limits HttpListener::AdminLimits() {
  const auto twice = PublicLimits();
  return {.total = twice.total / 2, .per_source = std::max<std::size_t>(1, twice.per_source / 2)};
}

Result<std::unique_ptr<HttpListener>> HttpListener::Start(Options options, HttpPages pages) {
  auto loop = std::make_unique<Loop>(std::move(options), std::move(pages));
  RETURN_IF_ERROR(loop->Listen());
  loop->Run();
  return std::unique_ptr<HttpListener>(new HttpListener(std::move(loop)));
}

Result<std::unique_ptr<HttpListener>> HttpListener::Start(Local local) {
  auto loop = std::make_unique<Loop>(std::move(local));
  RETURN_IF_ERROR(loop->ListenLocally());
  loop->Run();
  return std::unique_ptr<HttpListener>(new HttpListener(std::move(loop)));
}

void HttpListener::StopAccepting(std::chrono::milliseconds grace) { loop_->StopAccepting(grace); }

}  // namespace assertion
