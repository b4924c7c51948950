#include "oauth/http.h"

#include <httplib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "assertion/authority.h"
#include "assertion/secret.h"
#include "oauth/addresses.h"
#include "oauth/authorities.h"
#include "oauth/exchange_limit.h"

namespace assertion::oauth {
namespace {

using Instant = std::chrono::steady_clock::time_point;

constexpr std::chrono::seconds kLimit{15};     // for each wait
constexpr std::chrono::seconds kToConnect{2};  // to one address, while there is another
constexpr std::size_t kMostOfUrl = 8192;       // octets

bool IsHttps(std::string_view origin) { return origin.starts_with("https://"); }

// Nothing: the origin is not scheme://host[:port]. httplib's own parser ends the process on some.
std::optional<Authority> AuthorityOf(std::string_view origin) {
  return ParseAuthority(origin.substr(origin.find("://") + 3));
}

// Only visible US-ASCII characters: a blank or a newline would end the request line early.
bool IsVisible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

// Where a request goes, and whom to trust there.
struct Server {
  const std::string& origin;
  std::string host;
  std::optional<int> port;     // unset: the scheme's
  AuthoritiesPtr authorities;  // null: the system's
};

// The ends of one attempt.
struct Ends {
  Instant of_connecting;
  Instant of_all;
};

std::unique_ptr<httplib::ClientImpl> NewClient(const Server& server) {
  constexpr int kTlsPort = 443;
  constexpr int kPlainPort = 80;
  std::unique_ptr<httplib::ClientImpl> client;
  if (IsHttps(server.origin)) {
    auto tls = std::make_unique<httplib::SSLClient>(server.host, server.port.value_or(kTlsPort));
    SSL_CTX_set_options(tls->ssl_context(), SSL_OP_CLEANSE_PLAINTEXT);  // answers hold tokens
    if (server.authorities) {
      // OpenSSL prefers it to the store that httplib fills with the system's authorities. The path keeps httplib from
      // reading those: nothing is ever found below /dev/null.
      SSL_CTX_set1_verify_cert_store(tls->ssl_context(), server.authorities.get());
      tls->set_ca_cert_path("", "/dev/null");
    }
    client = std::move(tls);
  } else {
    client = std::make_unique<httplib::ClientImpl>(server.host, server.port.value_or(kPlainPort));
  }
  client->set_read_timeout(kLimit);
  client->set_write_timeout(kLimit);
  client->set_follow_location(false);
  client->enable_server_certificate_verification(true);
  return client;
}

// std::string::append would leave a copy behind in memory that is free again.
void AppendAndWipe(std::string& text, const char* data, std::size_t size) {
  if (text.size() + size > text.capacity()) {
    std::string larger;
    larger.reserve(2 * (text.size() + size));
    larger.append(text);
    WipeOctets(text);
    text.swap(larger);
  }
  text.append(data, size);
}

// Why the server's certificate was refused. `result` is OpenSSL's; httplib compares the name after that was good.
std::string CertificateFault(long result) {
  switch (result) {
    case X509_V_OK:
      return "its certificate is for another host name";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "its certificate is self-signed or of an authority that is not trusted here";
    default:
      return std::string("its certificate is refused: ") + X509_verify_cert_error_string(result);
  }
}

// RFC 9110 section 15.2. httplib takes each but a 100 for the final answer, and the final one for its body.
bool IsInterim(int status) {
  constexpr int kFirstFinal = 200;
  return status < kFirstFinal;
}

std::chrono::milliseconds LeftUntil(Instant end) {
  return std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
}

Result<AddressBook::Addresses> AddressesOf(const std::string& host, Instant end, const std::stop_token& given_up) {
  static AddressBook book;
  if (IsAddress(AF_INET, host) || IsAddress(AF_INET6, host)) {
    return AddressBook::Addresses{host};
  }
  return book.Find(host, end, given_up);
}

std::string FaultOf(const httplib::ClientImpl& client, httplib::Error error, const Server& server) {
  const auto& origin = server.origin;
  const auto* const tls = dynamic_cast<const httplib::SSLClient*>(&client);
  switch (error) {
    case httplib::Error::SSLServerVerification:
      return "TLS with " + origin + ": " + CertificateFault(tls == nullptr ? 0 : tls->get_openssl_verify_result());
    case httplib::Error::SSLLoadingCerts:
      return "TLS with " + origin + ": cannot read PEM certificates from the system's store";
    case httplib::Error::SSLConnection:
      return "TLS with " + origin +
             " failed: it ended the handshake, or speaks plain HTTP (http://), which is for "
             "loopback addresses only";
    default:
      return "no answer from " + origin + ": " + httplib::to_string(error);
  }
}

httplib::Request ToSend(const HttpRequest& request) {
  httplib::Request sent;
  sent.method = request.method;
  sent.path = request.path;
  sent.body = request.body;
  sent.set_header("Accept", "application/json");
  if (!request.content_type.empty()) {
    sent.set_header("Content-Type", request.content_type);
  }
  if (!request.bearer_token.empty()) {
    sent.set_header("Authorization", "Bearer " + request.bearer_token);
  }
  if (!request.dpop_proof.empty()) {
    sent.set_header("DPoP", request.dpop_proof);
  }
  return sent;
}

// Nothing: the address takes no connection in time, so that another may be tried.
std::optional<Result<HttpAnswer>> ExchangeWith(const Server& server, const std::string& address,
                                               const HttpRequest& request, Ends ends) {
  const auto client = NewClient(server);
  client->set_connection_timeout(std::max(LeftUntil(ends.of_connecting), std::chrono::milliseconds(1)));
  client->set_hostname_addr_map({{server.host, address}});
  auto sent = ToSend(request);
  ExchangeLimit limit(LeftUntil(ends.of_all), request.most_octets, request.given_up);
  client->set_socket_options([&limit](int socket) { limit.Watch(socket); });
  std::string body;
  sent.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    AppendAndWipe(body, data, size);
    return body.size() <= request.most_octets;
  };
  int interim = 0;
  sent.response_handler = [&interim](const httplib::Response& response) {
    interim = IsInterim(response.status) ? response.status : 0;
    return interim == 0;
  };
  const auto answer = client->send(sent);
  if (interim != 0) {
    return Fail(Code::kUnavailable,
                server.origin + " answered with an interim HTTP " + std::to_string(interim) +
                    ", and the final answer after it is not read: have the server, or the proxy before it, send no "
                    "interim answers (early hints, RFC 8297) for this URL");
  }
  if (!answer) {
    const auto why = body.size() > request.most_octets ? limit.TooLarge() : limit.why();
    const bool silent = answer.error() == httplib::Error::ConnectionTimeout && LeftUntil(ends.of_all).count() > 0;
    if (why.empty() && (silent || answer.error() == httplib::Error::Connection)) {
      return std::nullopt;
    }
    return Fail(Code::kUnavailable, why.empty() ? FaultOf(*client, answer.error(), server)
                                                : "no answer from " + server.origin + ": " + why);
  }
  return HttpAnswer{.status = answer->status,
                    .body = std::move(body),
                    .retry_after = answer->get_header_value("Retry-After"),
                    .dpop_nonce = answer->get_header_value("DPoP-Nonce"),
                    .location = answer->get_header_value("Location")};
}

// While it lives, this thread gets no SIGPIPE, which would end the process: OpenSSL writes also to a connection that
// has ended, for example when ExchangeLimit shut it down.
class NoBrokenPipe {
 public:
  NoBrokenPipe() {
    sigset_t pending{};
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  NoBrokenPipe(const NoBrokenPipe&) = delete;
  NoBrokenPipe& operator=(const NoBrokenPipe&) = delete;
  ~NoBrokenPipe() {
    constexpr timespec kAtOnce{};
    while (!was_pending_ && sigtimedwait(&pipe_, nullptr, &kAtOnce) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  bool was_pending_ = false;
  sigset_t pipe_{};
  sigset_t before_{};
};

Result<HttpAnswer> ExchangeInTime(const std::string& origin, const std::string& ca_file, const HttpRequest& request) {
  const auto end = std::chrono::steady_clock::now() + request.limit;
  const auto authority = AuthorityOf(origin);
  if (!authority) {
    return Fail(Code::kInvalidArgument, "the URL's host or port is none");
  }
  Server server{
      .origin = origin, .host = std::string(authority->host), .port = authority->port, .authorities = nullptr};
  if (IsHttps(origin) && !ca_file.empty()) {
    auto authorities = ReadAuthorities(ca_file);
    if (!authorities) {
      return Fail(Code::kUnavailable, "TLS with " + origin + ": the file of authorities " + authorities.error().message,
                  authorities.error().detail);
    }
    server.authorities = *std::move(authorities);
  }
  const auto addresses = AddressesOf(server.host, end, request.given_up);
  if (!addresses) {
    return Fail(Code::kUnavailable, "no answer from " + origin + ": " + addresses.error().message);
  }
  for (std::size_t i = 0; i < addresses->size(); ++i) {
    // One that never answers, as IPv6 on a network without it, leaves the others their time.
    const auto now = std::chrono::steady_clock::now();
    const auto share = (end - now) / static_cast<int>(addresses->size() - i);
    const auto connected = i + 1 == addresses->size() ? end : now + std::min<Instant::duration>(share, kToConnect);
    if (auto answer = ExchangeWith(server, (*addresses)[i], request, {.of_connecting = connected, .of_all = end})) {
      return *std::move(answer);
    }
  }
  // httplib does not keep errno.
  return Fail(Code::kUnavailable, "no answer from " + origin + ": connection refused, or no way to it");
}

}  // namespace

Result<Url> ParseUrl(const std::string& option, const std::string& url) {
  const bool https = IsHttps(url);
  if (url.size() > kMostOfUrl) {
    return Fail(Code::kInvalidArgument, option + " must have at most " + std::to_string(kMostOfUrl) + " octets");
  }
  if (!https && !url.starts_with("http://")) {
    return Fail(Code::kInvalidArgument, option + " must begin with https://, or with http:// for a loopback address");
  }
  const auto host = url.find("://") + 3;
  const auto path = url.find_first_of("/?#", host);
  Url parsed{.origin = url.substr(0, path), .path = path == std::string::npos ? "/" : url.substr(path)};
  if (path == host || parsed.origin.find('@') != std::string::npos || parsed.path.find('#') != std::string::npos ||
      parsed.path.front() != '/' || !IsVisible(url)) {
    return Fail(Code::kInvalidArgument, option + " must be https://host[:port]/path, without user, fragment or blank");
  }
  const auto authority = AuthorityOf(parsed.origin);
  if (!authority) {
    return Fail(Code::kInvalidArgument,
                option +
                    " must have a host name, an IPv4 address or an IPv6 address in brackets, and a port from 1 to "
                    "65535 or none");
  }
  if (!https && !authority->IsLoopback()) {
    return Fail(Code::kInvalidArgument, option + " must be https:// unless the host is a loopback address");
  }
  return parsed;
}

Result<HttpAnswer> Exchange(const std::string& origin, const std::string& ca_file, const HttpRequest& request) {
  const NoBrokenPipe no_broken_pipe;
  try {
    return ExchangeInTime(origin, ca_file, request);
  } catch (const std::system_error& error) {
    return Fail(Code::kUnavailable,
                "no request to " + origin +
                    ": this process may start no more threads or open no more files: " + error.code().message());
  } catch (const std::exception& error) {  // a library's, of an answer that it did not expect
    return Fail(Code::kUnavailable, "no request to " + origin + ": " + error.what());
  }
}

}  // namespace assertion::oauth
