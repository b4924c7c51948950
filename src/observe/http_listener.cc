#include "observe/http_listener.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/descriptor.h"
#include "observe/log.h"
#include "observe/wire.h"

namespace assertion {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kRequestLimit{5};   // until the answer is sent
constexpr seconds kFarewellLimit{1};  // until the peer has closed
constexpr milliseconds kPause{100};   // when nobody can be accepted
constexpr std::size_t kRequestOctets = 8192;
constexpr std::size_t kFarewellOctets = 65536;
constexpr int kAtOnce = 64;          // connections that are accepted before those that are there are looked at again
constexpr std::size_t kWorkers = 2;  // threads that make pages and shake hands
constexpr int kSelectable = 1024;
constexpr std::size_t kMany = 8192;  // descriptors
constexpr int kServerError = 500;
constexpr int kBadRequest = 400;
constexpr int kUriTooLong = 414;

std::string SourceOf(const sockaddr_storage& address) {
  constexpr std::size_t kBeforeV4 = 12;  // of an IPv4 address in an IPv6 one
  constexpr std::size_t kPrefix = 8;     // of IPv6 the /64, of which one machine has all
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

HttpAnswer Refusal(int status, const char* text) {
  return {.status = status, .body = text, .headers = {{"Content-Type", "text/plain; charset=utf-8"}}};
}

std::string Written(const HttpAnswer& answer, bool with_body) {
  const auto reason = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(answer.status)));
  auto text = "HTTP/1.1 " + std::to_string(answer.status) + " " + std::string(reason.data(), reason.size()) + "\r\n";
  const auto add = [&text](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  add("Connection", "close");
  add("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : answer.headers) {
    add(name, value);
  }
  if (answer.status != static_cast<int>(http::status::not_modified)) {
    add("Content-Length", std::to_string(answer.body.size()));
  }
  text.append("\r\n");
  return with_body ? text + answer.body : text;
}

std::string Text(boost::beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// The thread's. Only `Work` of a visit runs on another.
class HttpListener::Loop {
 public:
  Loop(Options options, HttpPages pages)
      : options_(std::move(options)), pages_(std::move(pages)), visitors_(options_.limits) {}

  ~Loop() {
    asio::post(context_, [this] { Stop(); });
    if (thread_.joinable()) {
      thread_.join();
    }
    workers_.join();
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Status Listen();
  void Run();
  int port() const { return port_; }

 private:
  class Visit;

  void Accept();
  void AcceptSome();
  Descriptor AcceptOne(sockaddr_storage& from);
  void Pause();
  void Begin(Descriptor socket, const sockaddr_storage& from);
  void End(Visitors::Number number);
  void Spare(Descriptor socket);
  void WaitForWorker(Visit& visit);
  void GiveWork();
  void Stop();

  const Options options_;
  const HttpPages pages_;
  asio::io_context context_{1};
  asio::ip::tcp::acceptor acceptor_{context_};
  asio::steady_timer pause_{context_};
  int port_ = 0;
  bool stopping_ = false;
  Visitors visitors_;
  std::map<Visitors::Number, std::shared_ptr<Visit>> visits_;
  std::deque<Visitors::Number> waiting_;  // for a worker
  std::size_t working_ = 0;
  // Lower descriptors are left to modules that use select(2), where there are enough others.
  const int floor_ = DescriptorLimit() >= kMany ? kSelectable : 0;
  Descriptor nothing_;  // which the spares are copies of
  std::vector<Descriptor> spares_;
  asio::thread_pool workers_{kWorkers};
  std::thread thread_;
};

// One connection: a handshake if it is TLS, a request, its answer, and the wait until the peer has closed.
class HttpListener::Loop::Visit : public std::enable_shared_from_this<Visit> {
 public:
  Visit(Loop& loop, Visitors::Number number, Wire wire)
      : loop_(loop),
        number_(number),
        wire_(std::move(wire)),
        watch_(loop.context_, wire_.descriptor()),
        timer_(loop.context_) {
    parser_.header_limit(kRequestOctets);
    parser_.eager(false);
  }

  void Begin() {
    EndAfter(kRequestLimit);
    if (wire_.plain()) {
      Receive();
    } else {
      Await(Wire::State::kWaitsToRead, &Visit::AskForWorker);  // a silent one costs no worker a thing
    }
  }

  // On a worker's thread: one step of the handshake, or the answer's making.
  void Work() {
    if (!shaken()) {
      handshake_ = wire_.ShakeHands();
    } else {
      MakeAnswer();
    }
  }

  void Worked() {
    working_ = false;
    if (ended_) {
      Close();
    } else if (!answer_.empty()) {
      Send();
    } else if (handshake_.state == Wire::State::kDone) {
      Receive();
    } else if (handshake_.state == Wire::State::kEnded) {
      Finish();  // the peer reads why, in the alert
    } else {
      Await(handshake_.state, &Visit::AskForWorker);
    }
  }

  void set_working() { working_ = true; }
  bool answers() const { return working_ || !answer_.empty(); }
  Visitors::Number number() const { return number_; }

  // A worker's socket is shut, and closed once the worker is done with it.
  void End() {
    if (!std::exchange(ended_, true)) {
      timer_.cancel();
      if (working_) {
        shutdown(wire_.descriptor(), SHUT_RDWR);
      } else {
        Close();
      }
    }
  }

  void EndAfter(std::chrono::steady_clock::duration time) {
    timer_.expires_after(time);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error) {
        self->loop_.End(self->number_);
      }
    });
  }

 private:
  using Next = void (Visit::*)();

  bool shaken() const { return wire_.plain() || handshake_.state == Wire::State::kDone; }

  void Close() {
    watch_.release();
    loop_.Spare(wire_.Release());
  }

  void Await(Wire::State state, Next next) {
    if (state == Wire::State::kEnded) {
      loop_.End(number_);
      return;
    }
    watch_.async_wait(state == Wire::State::kWaitsToRead ? watch_.wait_read : watch_.wait_write,
                      [self = shared_from_this(), next](error_code error) {
                        if (!error && !self->ended_) {
                          (*self.*next)();
                        }
                      });
  }

  void AskForWorker() { loop_.WaitForWorker(*this); }

  void Receive() {
    Wire::Step step{.state = Wire::State::kDone};
    while (step.state == Wire::State::kDone) {
      std::array<char, kRequestOctets> octets{};
      step = wire_.Read(std::span(octets).first(kRequestOctets - octets_));
      received_.append(octets.data(), step.octets);
      octets_ += step.octets;
      if (step.state == Wire::State::kDone && Understand()) {
        return;
      }
    }
    Await(step.state, &Visit::Receive);
  }

  // False: there must come more. What comes after the header is left unread: this is no second request.
  bool Understand() {
    error_code error;
    received_.erase(0, parser_.put(asio::buffer(received_), error));
    if (parser_.is_header_done()) {
      TakeRequest();
    } else if (error == http::error::header_limit || octets_ == kRequestOctets) {
      const bool no_line = received_.find('\n') == std::string::npos && parser_.get().target().empty();
      Say(no_line ? Refusal(kUriTooLong, "the request line is too long\n")
                  : Refusal(kBadRequest, "the header is too long\n"));
    } else if (error && error != http::error::need_more) {
      Say(Refusal(kBadRequest, "this is no HTTP/1.1 request\n"));
    } else {
      return false;
    }
    return true;
  }

  void TakeRequest() {
    const auto& header = parser_.get();
    request_ = {.method = Text(header.method_string()),
                .target = Text(header.target()),
                .if_none_match = Text(header[http::field::if_none_match]),
                .has_content = parser_.chunked() || parser_.content_length().value_or(0) > 0};
    if (HttpPages::IsQuick(request_)) {
      MakeAnswer();
      Send();
    } else {
      AskForWorker();
    }
  }

  void MakeAnswer() {
    try {
      answer_ = Written(loop_.pages_.Answer(request_), request_.method != "HEAD");
    } catch (const std::exception&) {
      answer_ = Written(Refusal(kServerError, "an internal error\n"), true);
    }
  }

  void Say(const HttpAnswer& answer) {
    answer_ = Written(answer, true);
    Send();
  }

  void Send() {
    while (sent_ < answer_.size()) {
      const auto step = wire_.Write(std::string_view(answer_).substr(sent_));
      if (step.state != Wire::State::kDone) {
        Await(step.state, &Visit::Send);
        return;
      }
      sent_ += step.octets;
    }
    Finish();
  }

  void Finish() {
    wire_.CloseWriting();
    EndAfter(kFarewellLimit);
    SeeOff();
  }

  void SeeOff() {
    const auto step = wire_.Discard();
    unread_ += step.octets;
    if (unread_ > kFarewellOctets) {
      loop_.End(number_);
    } else {
      Await(step.state == Wire::State::kDone ? Wire::State::kWaitsToRead : step.state, &Visit::SeeOff);
    }
  }

  Loop& loop_;
  const Visitors::Number number_;
  Wire wire_;
  asio::posix::stream_descriptor watch_;  // of the wire's socket, which stays the wire's
  asio::steady_timer timer_;
  http::request_parser<http::empty_body> parser_;
  Wire::Step handshake_{.state = Wire::State::kWaitsToRead};
  std::string received_;    // that the parser has not taken
  std::size_t octets_ = 0;  // that the peer has sent
  HttpRequest request_;
  std::string answer_;
  std::size_t sent_ = 0;
  std::size_t unread_ = 0;
  bool working_ = false;  // a worker has it
  bool ended_ = false;
};

// Without SO_REUSEPORT, by which a second process could share the port in silence.
Status HttpListener::Loop::Listen() {
  asio::ip::tcp::resolver resolver(context_);
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

void HttpListener::Loop::Run() {
  Accept();
  thread_ = std::thread([this] {
    // As a batch, which the process is, it would have to wait for its turn while the backlog fills.
    const sched_param none{};
    sched_setscheduler(0, SCHED_OTHER, &none);
    context_.run();
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
  return Descriptor(
      accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
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
  const auto admitted = visitors_.Admit(SourceOf(from));
  if (admitted.leaves) {
    End(*admitted.leaves);
  }
  try {
    auto wire = options_.tls ? Wire(std::move(socket), options_.tls()) : Wire(std::move(socket));
    const auto visit = std::make_shared<Visit>(*this, admitted.number, std::move(wire));
    visits_.emplace(admitted.number, visit);
    visit->Begin();
  } catch (const std::exception&) {  // the system has no memory to watch it
    End(admitted.number);
  }
}

void HttpListener::Loop::End(Visitors::Number number) {
  visitors_.Remove(number);
  std::erase(waiting_, number);
  if (const auto found = visits_.find(number); found != visits_.end()) {
    const auto visit = std::move(found->second);
    visits_.erase(found);
    visit->End();
  }
}

// Closes it; or keeps its number as a spare, when one was taken, at once, before another thread can have it.
void HttpListener::Loop::Spare(Descriptor socket) {
  if (spares_.size() < options_.spares && dup3(nothing_.get(), socket.get(), O_CLOEXEC) >= 0) {
    spares_.push_back(std::move(socket));
  }
}

void HttpListener::Loop::WaitForWorker(Visit& visit) {
  waiting_.push_back(visit.number());
  GiveWork();
}

void HttpListener::Loop::GiveWork() {
  while (working_ < kWorkers && !waiting_.empty()) {
    const auto visit = visits_.at(waiting_.front());
    waiting_.pop_front();
    ++working_;
    visit->set_working();
    asio::post(workers_, [this, visit, busy = asio::make_work_guard(context_)] {
      visit->Work();
      asio::post(context_, [this, visit] {
        --working_;
        visit->Worked();
        GiveWork();
      });
    });
  }
}

void HttpListener::Loop::Stop() {
  stopping_ = true;
  error_code ignored;
  static_cast<void>(acceptor_.close(ignored));
  pause_.cancel();
  const auto all = visits_;
  for (const auto& [number, visit] : all) {
    if (visit->answers()) {
      visit->EndAfter(kFarewellLimit);
    } else {
      End(number);
    }
  }
}

HttpListener::HttpListener(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

HttpListener::~HttpListener() = default;

int HttpListener::port() const { return loop_->port(); }

// While a source opens connections as fast as it can, one of its others lives until per_source newer ones have come: so
// many that a probe from the same address, behind a NAT say, has been answered by then.
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

}  // namespace assertion
