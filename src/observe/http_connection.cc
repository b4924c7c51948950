#include "observe/http_connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/beast/http/status.hpp>
#include <exception>
#include <span>
#include <string_view>
#include <utility>

#include "assertion/secret.h"

namespace assertion {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::chrono::seconds kRequestLimit{5};   // until the answer is sent
constexpr std::chrono::seconds kHandlerLimit{35};  // a handler's own limit is 30 s
constexpr std::size_t kRequestOctets = 8192;
constexpr std::size_t kFarewellOctets = 65536;
constexpr int kServerError = 500;
constexpr HttpRequest::Fault kNotHttp{.status = 400, .text = "this is no HTTP/1.1 request"};
constexpr HttpRequest::Fault kHeaderTooLong{.status = 400, .text = "the header is too long"};
constexpr HttpRequest::Fault kUnended{.status = 400, .text = "the header has no end"};
constexpr HttpRequest::Fault kTooSlow{.status = 408, .text = "the header takes too long"};
constexpr HttpRequest::Fault kUriTooLong{.status = 414, .text = "the request line is too long"};

HttpAnswer Refusal(int status, const char* text) {
  return {
      .status = status, .body = std::string(text) + "\n", .headers = {{"Content-Type", "text/plain; charset=utf-8"}}};
}

// Wipes the answer's body. The text does not grow after it has the body, so that no copy is left behind.
std::string ToHttp(HttpAnswer answer, bool with_body) {
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
  if (with_body) {
    text.reserve(text.size() + answer.body.size());
    text.append(answer.body);
  }
  WipeOctets(answer.body);
  return text;
}

std::string OwnText(boost::beast::string_view text) { return {text.data(), text.size()}; }

// The values of all fields of this name, as one list (RFC 9110 section 5.3).
std::string List(const http::fields& header, http::field name) {
  std::string list;
  const auto [begin, end] = header.equal_range(name);
  for (auto field = begin; field != end; ++field) {
    list.append(list.empty() ? "" : ",").append(OwnText(field->value()));
  }
  return list;
}

}  // namespace

HttpConnection::HttpConnection(Loop& loop, Visitors::Number number, Wire wire, std::optional<uid_t> user)
    : loop_(loop),
      number_(number),
      wire_(std::move(wire)),
      watch_(loop.context(), wire_.descriptor()),
      timer_(loop.context()),
      request_{.method = {}, .target = {}, .accept = {}, .if_none_match = {}, .user = user} {
  parser_.header_limit(kRequestOctets);
  parser_.eager(false);
}

void HttpConnection::Begin() {
  EndAfter(kRequestLimit);
  if (wire_.plain()) {
    Receive();
  } else {
    Await(Wire::State::kWaitsToRead, &HttpConnection::AskForWorker);  // a silent peer costs no worker anything
  }
}

void HttpConnection::Work() {
  if (!HasShakenHands()) {
    handshake_ = wire_.ShakeHands();
  } else {
    MakeAnswer();
  }
}

void HttpConnection::FinishWork() {
  working_ = false;
  if (ended_) {
    Close();
  } else if (!answer_.empty()) {
    Send();
  } else if (handshake_.state == Wire::State::kDone) {
    Receive();
  } else if (handshake_.state == Wire::State::kEnded) {
    Finish();  // the alert tells the peer why
  } else {
    Await(handshake_.state, &HttpConnection::AskForWorker);
  }
}

void HttpConnection::End() {
  if (!std::exchange(ended_, true)) {
    timer_.cancel();
    if (cancel_) {
      std::exchange(cancel_, {})();
    }
    if (working_) {
      shutdown(wire_.descriptor(), SHUT_RDWR);
    } else {
      Close();
    }
  }
}

void HttpConnection::EndAfter(std::chrono::steady_clock::duration time) {
  timer_.expires_after(time);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) {
      self->EndOverdue();
    }
  });
}

void HttpConnection::Close() {
  WipeOctets(answer_);
  watch_.release();
  loop_.Recycle(wire_.Release());
}

void HttpConnection::Await(Wire::State state, Next next) {
  if (state == Wire::State::kEnded) {
    loop_.End(number_);
    return;
  }
  watch_.async_wait(state == Wire::State::kWaitsToRead ? watch_.wait_read : watch_.wait_write,
                    [self = shared_from_this(), next](error_code error) {
                      if (!error && !self->ended_) {
                        self->Continue(next);
                      }
                    });
}

void HttpConnection::Continue(Next next) {
  if (loop_.Charge(request_.user)) {
    (this->*next)();
  } else {
    loop_.End(number_);
  }
}

void HttpConnection::Receive() {
  Wire::Step step{.state = Wire::State::kDone};
  while (step.state == Wire::State::kDone) {
    std::array<char, kRequestOctets> octets{};
    step = wire_.Read(std::span(octets).first(kRequestOctets - octets_));
    received_.append(octets.data(), step.octets);
    octets_ += step.octets;
    if (step.state == Wire::State::kDone && ParseHeader()) {
      return;
    }
  }
  if (step.state == Wire::State::kEnded && IsUnfinished()) {
    Refuse(kUnended);
    return;
  }
  Await(step.state, &HttpConnection::Receive);
}

// False: more octets are needed. Octets after the header stay unread: a second request is not served.
bool HttpConnection::ParseHeader() {
  error_code error;
  received_.erase(0, parser_.put(asio::buffer(received_), error));
  if (parser_.is_header_done()) {
    HandleRequest();
  } else if (error == http::error::header_limit || octets_ == kRequestOctets) {
    const bool no_line = received_.find('\n') == std::string::npos && parser_.get().target().empty();
    if (no_line) {
      Refuse(kUriTooLong);
    } else {
      Refuse(kHeaderTooLong);
    }
  } else if (error && error != http::error::need_more) {
    Refuse(kNotHttp);
  } else {
    return false;
  }
  return true;
}

void HttpConnection::HandleRequest() {
  const auto& header = parser_.get();
  request_.method = OwnText(header.method_string());
  request_.target = OwnText(header.target());
  request_.accept = List(header, http::field::accept);
  request_.if_none_match = OwnText(header[http::field::if_none_match]);
  request_.has_content = parser_.chunked() || parser_.content_length().value_or(0) > 0;
  request_.misdirected = !loop_.IsAskedAs(List(header, http::field::host));
  request_.traceparent = OwnText(header["traceparent"]);
  if (loop_.pages() == nullptr) {
    Continue(&HttpConnection::GiveToHandler);
  } else if (HttpPages::IsQuick(request_)) {
    MakeAnswer();
    Send();
  } else {
    AskForWorker();
  }
}

void HttpConnection::GiveToHandler() {
  EndAfter(kHandlerLimit);
  handled_ = true;
  AwaitLeaving();
  cancel_ = loop_.Handle(number_, request_);
}

// A peer that closes its end while it waits is not waited for. One that only ends its writing is. asio may tell the end
// of another connection here, whose place this one took: the kernel is asked.
void HttpConnection::AwaitLeaving() {
  watch_.async_wait(watch_.wait_error, [self = shared_from_this()](error_code error) {
    if (error || !self->handled_) {
      return;
    }
    pollfd peer{.fd = self->watch_.native_handle(), .events = 0, .revents = 0};
    if (poll(&peer, 1, 0) > 0) {
      self->loop_.End(self->number_);
    } else {
      self->AwaitLeaving();
    }
  });
}

void HttpConnection::Take(HttpAnswer answer) {
  handled_ = false;
  cancel_ = {};
  EndAfter(kRequestLimit);
  answer_ = ToHttp(std::move(answer), request_.method != "HEAD");
  Send();
}

void HttpConnection::MakeAnswer() {
  try {
    answer_ = ToHttp(loop_.pages()->Answer(request_), request_.method != "HEAD");
  } catch (const std::exception&) {
    answer_ = ToHttp(Refusal(kServerError, "an internal error"), true);
  }
}

void HttpConnection::Refuse(HttpRequest::Fault fault) {
  if (loop_.pages() == nullptr) {
    request_.fault = fault;
    Continue(&HttpConnection::GiveToHandler);
    return;
  }
  answer_ = ToHttp(Refusal(fault.status, fault.text), true);
  Send();
}

// The peer has sent something, but no whole header, to a handler.
bool HttpConnection::IsUnfinished() const {
  return loop_.pages() == nullptr && octets_ > 0 && !parser_.is_header_done() && !request_.fault;
}

// The handler counts a header that is too slow. Nobody is answered.
void HttpConnection::EndOverdue() {
  if (IsUnfinished()) {
    request_.fault = kTooSlow;
    loop_.Handle(number_, request_);
  }
  loop_.End(number_);
}

void HttpConnection::Send() {
  while (sent_ < answer_.size()) {
    const auto step = wire_.Write(std::string_view(answer_).substr(sent_));
    if (step.state != Wire::State::kDone) {
      Await(step.state, &HttpConnection::Send);
      return;
    }
    sent_ += step.octets;
  }
  WipeOctets(answer_);
  Finish();
}

void HttpConnection::Finish() {
  wire_.CloseWriting();
  loop_.NoteAnswered(number_);
  EndAfter(kHttpFarewellLimit);
  AwaitClose();
}

void HttpConnection::AwaitClose() {
  const auto step = wire_.Discard();
  unread_ += step.octets;
  if (unread_ > kFarewellOctets) {
    loop_.End(number_);
  } else {
    Await(step.state == Wire::State::kDone ? Wire::State::kWaitsToRead : step.state, &HttpConnection::AwaitClose);
  }
}

}  // namespace assertion
