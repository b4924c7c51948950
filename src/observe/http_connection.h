#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "assertion/descriptor.h"
#include "observe/http_message.h"
#include "observe/http_pages.h"
#include "observe/visitors.h"
#include "observe/wire.h"

namespace assertion {

// One connection of the HTTP listener: a handshake if it is TLS, a request, its answer, and the wait until the peer has
// closed. It takes at most 8 KiB of a request, and 5 s from its beginning to the end of its answer; where a handler
// answers, 5 s for the request, 35 s for the handler, and 5 s for the answer. Octets of the answer are wiped. All
// methods but Work run on the loop's thread. A handler also hears of what is no request, whoever sent it.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  // The loop that the connection lives in.
  class Loop {
   public:
    Loop() = default;
    virtual ~Loop() = default;
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    virtual boost::asio::io_context& context() = 0;
    // Null: a handler answers.
    virtual const HttpPages* pages() const = 0;

    // False: see HttpRequest::misdirected. `host`: the field as it came; empty: there was none.
    virtual bool IsAskedAs(std::string_view host) const = 0;

    // Gives the request to the handler. Take gets the answer; the returned function, if any, tells the handler that
    // nobody waits for it.
    virtual std::function<void()> Handle(Visitors::Number number, const HttpRequest& request) = 0;

    // The connection is about to work for the user. False: it must end instead.
    virtual bool Charge(std::optional<uid_t> user) = 0;

    // The answer has left, and the connection waits for its peer to close.
    virtual void NoteAnswered(Visitors::Number number) = 0;

    // Forgets the connection and calls its End.
    virtual void End(Visitors::Number number) = 0;

    // Takes the socket of a connection that has ended.
    virtual void Recycle(Descriptor socket) = 0;

    // Calls the connection's Work on a worker's thread, and then its FinishWork.
    virtual void WaitForWorker(Visitors::Number number) = 0;
  };

  // `user`: of the peer, over a Unix domain socket.
  HttpConnection(Loop& loop, Visitors::Number number, Wire wire, std::optional<uid_t> user);

  void Begin();

  // On a worker's thread: one step of the handshake, or the making of the answer.
  void Work();

  // A worker has the connection from BeginWork until FinishWork.
  void BeginWork() { working_ = true; }
  void FinishWork();

  // The handler's answer.
  void Take(HttpAnswer answer);

  // A worker or the handler has it, or an answer is on its way.
  bool IsAnswering() const { return working_ || handled_ || !answer_.empty(); }

  // Closes it at once. While a worker has it the socket is shut down, and closed afterwards.
  void End();

  void EndAfter(std::chrono::steady_clock::duration time);

 private:
  using Next = void (HttpConnection::*)();

  void Continue(Next next);
  bool HasShakenHands() const { return wire_.plain() || handshake_.state == Wire::State::kDone; }
  void Close();
  void Await(Wire::State state, Next next);
  void AskForWorker() { loop_.WaitForWorker(number_); }
  void Receive();
  bool ParseHeader();
  void HandleRequest();
  void GiveToHandler();
  void AwaitLeaving();
  void MakeAnswer();
  void Refuse(HttpRequest::Fault fault);
  bool IsUnfinished() const;
  void EndOverdue();
  void Send();
  void Finish();
  void AwaitClose();

  Loop& loop_;
  const Visitors::Number number_;
  Wire wire_;
  boost::asio::posix::stream_descriptor watch_;  // of the wire's socket, which the wire owns
  boost::asio::steady_timer timer_;
  boost::beast::http::request_parser<boost::beast::http::empty_body> parser_;
  Wire::Step handshake_{.state = Wire::State::kWaitsToRead};
  std::string received_;    // not parsed yet
  std::size_t octets_ = 0;  // received in all
  HttpRequest request_;
  std::function<void()> cancel_;  // what the handler does; empty: nothing
  std::string answer_;
  std::size_t sent_ = 0;
  std::size_t unread_ = 0;  // discarded after the answer
  bool working_ = false;
  bool handled_ = false;  // the handler has it
  bool ended_ = false;
};

// How long a connection waits for its peer to close after the answer.
inline constexpr std::chrono::seconds kHttpFarewellLimit{1};

}  // namespace assertion
