#include "oauth/http.h"

#include <arpa/inet.h>
#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "assertion/secret.h"
#include "oauth/addresses.h"
#include "oauth/exchange_limit.h"

namespace assertion::oauth {
namespace {

using Instant = std::chrono::steady_clock::time_point;

constexpr std::chrono::seconds kLimit{15};     // for each wait
constexpr std::chrono::seconds kToConnect{2};  // to one address, while there is another

bool IsLoopback(std::string_view origin) {
  auto host = origin.substr(origin.find("://") + 3);
  if (host.starts_with('[')) {
    return host.starts_with("[::1]");
  }
  host = host.substr(0, host.find(':'));
  // 127.0.0.0/8 in digits only: a host name may begin with 127, too.
  return host == "localhost" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

// Only visible US-ASCII characters: a blank or a newline would end the request line early.
bool IsVisible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

void Configure(httplib::Client& client, const std::string& ca_file) {
  client.set_connection_timeout(kLimit);
  client.set_read_timeout(kLimit);
  client.set_write_timeout(kLimit);
  client.set_follow_location(false);
  client.enable_server_certificate_verification(true);
  if (!ca_file.empty()) {
    client.set_ca_cert_path(ca_file);
  }
  if (auto* const tls = client.ssl_context(); tls != nullptr) {
    SSL_CTX_set_options(tls, SSL_OP_CLEANSE_PLAINTEXT);  // answers hold tokens
  }
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

// Without the brackets of an IPv6 address.
std::string HostOf(const std::string& origin) {
  const auto host = origin.substr(origin.find("://") + 3);
  return host.starts_with('[') ? host.substr(1, host.find(']') - 1) : host.substr(0, host.find(':'));
}

std::chrono::milliseconds LeftUntil(Instant end) {
  return std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
}

bool IsAddress(const std::string& host) {
  in6_addr octets{};  // has room for either
  return inet_pton(AF_INET, host.c_str(), &octets) == 1 || inet_pton(AF_INET6, host.c_str(), &octets) == 1;
}

Result<AddressBook::Addresses> AddressesOf(const std::string& origin, Instant end, const std::stop_token& given_up) {
  static AddressBook book;
  const auto host = HostOf(origin);
  if (IsAddress(host)) {
    return AddressBook::Addresses{host};
  }
  auto addresses = book.Find(host, end, given_up);
  return addresses ? std::move(addresses)
                   : Fail(Code::kUnavailable, "no answer from " + origin + ": " + addresses.error().message);
}

std::string FaultOf(const httplib::Client& client, httplib::Error error, const std::string& origin,
                    const std::string& ca_file) {
  switch (error) {
    case httplib::Error::SSLServerVerification:
      return "TLS with " + origin + ": " + CertificateFault(client.get_openssl_verify_result());
    case httplib::Error::SSLLoadingCerts:
      return "TLS with " + origin + ": cannot read PEM certificates from " +
             (ca_file.empty() ? "the system's store" : ca_file);
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

// Nothing: the address takes no connection until `connected`, so that another may be tried.
std::optional<Result<HttpAnswer>> ExchangeWith(const std::string& address, const std::string& origin,
                                               const std::string& ca_file, const HttpRequest& request,
                                               Instant connected, Instant end) {
  httplib::Client client(origin);
  Configure(client, ca_file);
  client.set_connection_timeout(std::max(LeftUntil(connected), std::chrono::milliseconds(1)));
  client.set_hostname_addr_map({{HostOf(origin), address}});
  auto sent = ToSend(request);
  ExchangeLimit limit(LeftUntil(end), request.most_octets, request.given_up);
  client.set_socket_options([&limit](int socket) { limit.Watch(socket); });
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
  const auto answer = client.send(sent);
  if (interim != 0) {
    return Fail(Code::kUnavailable,
                origin + " answered with an interim HTTP " + std::to_string(interim) +
                    ", and the final answer after it is not read: have the server, or the proxy before it, send no "
                    "interim answers (early hints, RFC 8297) for this URL");
  }
  if (!answer) {
    const auto why = body.size() > request.most_octets ? limit.TooLarge() : limit.why();
    const bool silent = answer.error() == httplib::Error::ConnectionTimeout && LeftUntil(end).count() > 0;
    if (why.empty() && (silent || answer.error() == httplib::Error::Connection)) {
      return std::nullopt;
    }
    return Fail(Code::kUnavailable, why.empty() ? FaultOf(client, answer.error(), origin, ca_file)
                                                : "no answer from " + origin + ": " + why);
  }
  return HttpAnswer{.status = answer->status,
                    .body = std::move(body),
                    .retry_after = answer->get_header_value("Retry-After"),
                    .dpop_nonce = answer->get_header_value("DPoP-Nonce")};
}

Result<HttpAnswer> ExchangeInTime(const std::string& origin, const std::string& ca_file, const HttpRequest& request) {
  const auto end = std::chrono::steady_clock::now() + request.limit;
  ASSIGN_OR_RETURN(const auto addresses, AddressesOf(origin, end, request.given_up));
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // One that never answers, as IPv6 on a network without it, leaves the others their time.
    const auto now = std::chrono::steady_clock::now();
    const auto share = (end - now) / static_cast<int>(addresses.size() - i);
    const auto connected = i + 1 == addresses.size() ? end : now + std::min<Instant::duration>(share, kToConnect);
    if (auto answer = ExchangeWith(addresses[i], origin, ca_file, request, connected, end)) {
      return *std::move(answer);
    }
  }
  // httplib does not keep errno.
  return Fail(Code::kUnavailable, "no answer from " + origin + ": connection refused, or no way to it");
}

}  // namespace

Result<Url> ParseUrl(const std::string& option, const std::string& url) {
  const bool https = url.starts_with("https://");
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
  if (!https && !IsLoopback(parsed.origin)) {
    return Fail(Code::kInvalidArgument, option + " must be https:// unless the host is a loopback address");
  }
  return parsed;
}

Result<HttpAnswer> Exchange(const std::string& origin, const std::string& ca_file, const HttpRequest& request) {
  try {
    return ExchangeInTime(origin, ca_file, request);
  } catch (const std::system_error& error) {
    return Fail(Code::kUnavailable,
                "no request to " + origin +
                    ": this process may start no more threads or open no more files: " + error.code().message());
  }
}

}  // namespace assertion::oauth
