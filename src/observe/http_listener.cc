#include "observe/http_listener.h"

#include <httplib.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <latch>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "jws/thumbprint.h"
#include "keys/publication.h"
#include "observe/timed_stream.h"
#include "observe/tls_stream.h"
#include "observe/visitors.h"
#include "x509/certificate.h"

namespace assertion {
namespace {

constexpr int kOk = 200;
constexpr int kNotModified = 304;
constexpr int kBadRequest = 400;
constexpr int kNotFound = 404;
constexpr int kMethodNotAllowed = 405;
constexpr int kServiceUnavailable = 503;
constexpr int kServerError = 500;
constexpr int kBacklog = 128;  // connections that the kernel keeps until they are accepted
constexpr std::chrono::seconds kRequestLimit{5};
constexpr std::chrono::seconds kFarewellLimit{1};
constexpr size_t kRequestOctets = 8192;
constexpr size_t kFarewellOctets = 65536;
constexpr std::string_view kTooLong = "HTTP/1.1 414 URI Too Long\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
constexpr std::chrono::seconds kLongestAge{300};
constexpr const char* kText = "text/plain; charset=utf-8";

void Say(httplib::Response& response, int status, const std::string& text) {
  response.status = status;
  response.set_content(text + "\n", kText);
}

// The client id between "/clients/" and `suffix`; it may hold slashes itself.
std::optional<std::string> ClientIn(std::string_view path, std::string_view suffix) {
  constexpr std::string_view kPrefix = "/clients/";
  if (!path.starts_with(kPrefix) || !path.ends_with(suffix) || path.size() <= kPrefix.size() + suffix.size()) {
    return std::nullopt;
  }
  return std::string(path.substr(kPrefix.size(), path.size() - kPrefix.size() - suffix.size()));
}

bool HasContent(const httplib::Request& request) {
  return request.has_header("Transfer-Encoding") ||
         (request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0");
}

// Whether one of the entity tags of If-None-Match is this one, compared weakly (RFC 9110 section 13.1.2).
bool Names(std::string_view if_none_match, std::string_view tag) {
  constexpr std::string_view kBlanks = " \t";
  while (!if_none_match.empty()) {
    const auto comma = std::min(if_none_match.find(','), if_none_match.size());
    auto candidate = if_none_match.substr(0, comma);
    if_none_match.remove_prefix(std::min(comma + 1, if_none_match.size()));
    candidate.remove_prefix(std::min(candidate.find_first_not_of(kBlanks), candidate.size()));
    candidate = candidate.substr(0, candidate.find_last_not_of(kBlanks) + 1);
    if (candidate.starts_with("W/")) {
      candidate.remove_prefix(2);
    }
    if (candidate == tag || candidate == "*") {
      return true;
    }
  }
  return false;
}

// Answers `body`, or that the asker has it already. A new key signs publish_lead after it is published, so what was
// fetched before may be kept for half of that.
void Publish(const Client& client, const httplib::Request& request, httplib::Response& response,
             const std::string& body, const char* content_type) {
  const auto tag = "\"" + jws::Sha256Thumbprint(AsBytes(body)) + "\"";
  const auto age = std::min(kLongestAge, client.publish_lead / 2);
  response.set_header("ETag", tag);
  response.set_header("Cache-Control", "public, max-age=" + std::to_string(age.count()));
  if (Names(request.get_header_value("If-None-Match"), tag)) {
    response.status = kNotModified;
    return;
  }
  response.status = kOk;
  response.set_content(body, content_type);
}

// httplib's own queue takes sockets without a bound. This one lets the listening thread run what httplib would queue,
// which is process_and_close_socket.
class AtOnce final : public httplib::TaskQueue {
 public:
  explicit AtOnce(httplib::ThreadPool& threads) : threads_(threads) {}

  using Queued = decltype(std::declval<httplib::TaskQueue&>().enqueue(std::function<void()>()));
  Queued enqueue(std::function<void()> task) override {
    task();
    return Queued(true);  // void in earlier versions
  }
  void shutdown() override { threads_.shutdown(); }

 private:
  httplib::ThreadPool& threads_;
};

}  // namespace

// Serves one request a connection: what a request leaves unread would be taken for the next one.
struct HttpListener::Parts final : httplib::Server {
  Parts(const HsmGroup& group, const Readiness& known_readiness,
        std::function<std::vector<prometheus::MetricFamily>()> all_metrics,
        std::function<x509::ServerContext()> tls_context)
      : hsms(group), readiness(known_readiness), metrics(std::move(all_metrics)), tls(std::move(tls_context)) {}

  // httplib routes by regular expressions, whose recursion a caller's path would drive: this looks at the path itself.
  void Answer(const httplib::Request& request, httplib::Response& response) const {
    response.set_header("X-Content-Type-Options", "nosniff");
    if (request.method != "GET" && request.method != "HEAD") {
      response.set_header("Allow", "GET, HEAD");
      Say(response, kMethodNotAllowed, "only GET and HEAD are answered here");
    } else if (HasContent(request)) {
      Say(response, kBadRequest, "a request must not have content");
    } else if (const auto jwks_of = ClientIn(request.path, "/jwks.json")) {
      AnswerJwks(*jwks_of, request, response);
    } else if (const auto certificate_of = ClientIn(request.path, "/certificate.pem")) {
      AnswerCertificate(*certificate_of, request, response);
    } else if (request.path == "/healthz") {
      Say(response, kOk, "ok");
    } else if (request.path == "/readyz") {
      AnswerReadiness(response);
    } else if (request.path == "/metrics") {
      response.status = kOk;
      response.set_content(prometheus::TextSerializer().Serialize(metrics()),
                           "text/plain; version=0.0.4; charset=utf-8");
    } else {
      Say(response, kNotFound,
          "here are /clients/{client_id}/jwks.json, /clients/{client_id}/certificate.pem, /healthz, /readyz, /metrics");
    }
  }

  // Nothing, and the answer given, when no such client is configured.
  std::optional<Client> FindClient(const std::string& client_id, httplib::Response& response) const {
    auto client = hsms.First()->keys.FindClient(client_id);
    if (!client) {
      Say(response, kNotFound, "no such client is configured");
    }
    return client;
  }

  void AnswerJwks(const std::string& client_id, const httplib::Request& request, httplib::Response& response) const {
    const auto client = FindClient(client_id, response);
    if (client) {
      Publish(*client, request, response, JwkSet(hsms.KeysOf(client_id), hsms.First()->keys.Now()),
              "application/jwk-set+json");
    }
  }

  void AnswerCertificate(const std::string& client_id, const httplib::Request& request,
                         httplib::Response& response) const {
    const auto client = FindClient(client_id, response);
    if (!client) {
      return;
    }
    const auto found = hsms.Find(client_id, request.get_param_value("kid"));
    if (!found) {
      Say(response, kNotFound, found.error().message);
    } else if (const auto& key = found->entry.key; !key || key->chain.empty()) {
      Say(response, kNotFound, "the key has no certificate");
    } else {
      Publish(*client, request, response, x509::ToPem(key->chain), "application/pem-certificate-chain");
    }
  }

  void AnswerReadiness(httplib::Response& response) const {
    std::string text;
    for (const auto& [part, reason] : readiness.reasons()) {
      text.append(text.empty() ? "" : "\n").append(part).append(": ").append(reason);
    }
    const bool ready = text.empty();
    text = ready ? "ready" : text;
    for (const auto& [part, warning] : readiness.warnings()) {
      text.append("\nwarning: ").append(part).append(": ").append(warning);
    }
    response.set_header("Cache-Control", "no-store");
    Say(response, ready ? kOk : kServiceUnavailable, text);
  }

  // Called by the thread that listens. There is a thread for each visitor, so that none waits for a silent one.
  bool process_and_close_socket(socket_t socket) override {
    if (!visitors.Admit(socket)) {
      close(socket);
      return false;
    }
    threads->enqueue([this, socket] { Receive(socket); });
    return true;
  }

  void Receive(int socket) {
    if (!visitors.IsShut(socket)) {
      TimedStream stream(socket, std::chrono::steady_clock::now() + kRequestLimit, kRequestOctets);
      tls ? ServeTls(stream) : ServeOne(stream, stream);
      shutdown(socket, SHUT_WR);
      // Closed with octets unread, the connection would be reset, and the answer could be lost.
      TimedStream farewell(socket, std::chrono::steady_clock::now() + kFarewellLimit, kFarewellOctets);
      std::array<char, 4096> unread{};
      while (farewell.read(unread.data(), unread.size()) > 0) {
      }
    }
    visitors.Close(socket);
  }

  void ServeTls(TimedStream& beneath) {
    TlsStream stream(tls(), beneath);
    if (stream.Accept()) {
      ServeOne(stream, beneath);
      stream.Close();
    }
  }

  void ServeOne(httplib::Stream& stream, const TimedStream& beneath) {
    // httplib itself answers headers that are too long, but no first line.
    if (!Serve(*this, stream) && beneath.overrun()) {
      stream.write(kTooLong.data(), kTooLong.size());
    }
  }

  // Later versions of httplib want the addresses, too, which nobody here asks for.
  template <typename Self>
  static bool Serve(Self& self, httplib::Stream& stream) {
    bool closed = false;
    if constexpr (requires { self.process_request(stream, true, closed, nullptr); }) {
      return self.process_request(stream, true, closed, nullptr);
    } else {
      return self.process_request(stream, "", 0, "", 0, true, closed, nullptr);
    }
  }

  const HsmGroup& hsms;
  const Readiness& readiness;
  const std::function<std::vector<prometheus::MetricFamily>()> metrics;
  const std::function<x509::ServerContext()> tls;  // empty: plain HTTP
  Visitors visitors;
  std::optional<httplib::ThreadPool> threads;
  std::latch listening{1};
  std::jthread thread;
};

HttpListener::HttpListener(std::unique_ptr<Parts> parts, int port) : parts_(std::move(parts)), port_(port) {}

Result<std::unique_ptr<HttpListener>> HttpListener::Start(
    const std::string& host, int port, const HsmGroup& hsms, const Readiness& readiness,
    std::function<std::vector<prometheus::MetricFamily>()> metrics, std::function<x509::ServerContext()> tls) {
  auto parts = std::make_unique<Parts>(hsms, readiness, std::move(metrics), std::move(tls));
  auto& server = *parts;
  // Made once it runs: a stop before that would not be heard.
  server.new_task_queue = [&server] {
    server.threads.emplace(Visitors::kMost);  // a slow peer holds one, for kRequestLimit at most
    server.listening.count_down();
    return new AtOnce(*server.threads);
  };
  // httplib's own default is SO_REUSEPORT: a second process could share the port in silence.
  int listener = -1;
  server.set_socket_options([&listener](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    listener = socket;
  });
  server.set_pre_routing_handler([&server](const httplib::Request& request, httplib::Response& response) {
    // Ranges of an answer may be ignored (RFC 9110 section 14.2); many that overlap would multiply it.
    const_cast<httplib::Request&>(request).ranges.clear();
    server.Answer(request, response);
    return httplib::Server::HandlerResponse::Handled;
  });
  // httplib's own default tells the peer what was thrown.
  server.set_exception_handler([](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
    Say(response, kServerError, "an internal error");
  });
  const int bound = port == 0 ? server.bind_to_any_port(host) : server.bind_to_port(host, port) ? port : -1;
  if (bound < 0) {
    return Fail(Code::kAddressUnusable, "http_listen: cannot listen on " + host + " port " + std::to_string(port) +
                                            ": is it this machine's address, and free?");
  }
  listen(listener, kBacklog);  // httplib's own backlog is 5, which a flood keeps full
  server.thread = std::jthread([&server] { server.listen_after_bind(); });
  server.listening.wait();
  return std::unique_ptr<HttpListener>(new HttpListener(std::move(parts), bound));
}

HttpListener::~HttpListener() { parts_->stop(); }

}  // namespace assertion
