#include "oauth/http.h"

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

namespace assertion::oauth {
namespace {

constexpr std::chrono::seconds kLimit{15};       // for each wait
constexpr std::chrono::seconds kWholeLimit{60};  // for an answer's body that trickles in
constexpr std::size_t kMostOctets = std::size_t{1} << 20U;

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
}

}  // namespace

Result<Url> ParseUrl(const std::string& option, const std::string& url) {
  const bool https = url.starts_with("https://");
  if (!https && !url.starts_with("http://")) {
    return Fail(Code::kInvalidArgument, option + " must be an https:// URL");
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
  httplib::Client client(origin);
  Configure(client, ca_file);
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
  std::string body;
  std::string stopped;
  const auto end = std::chrono::steady_clock::now() + kWholeLimit;
  sent.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    if (body.size() + size > kMostOctets) {
      stopped = "its answer is larger than 1 MiB";
    } else if (std::chrono::steady_clock::now() > end) {
      stopped = "its answer takes too long";
    } else {
      body.append(data, size);
    }
    return stopped.empty();
  };
  const auto answer = client.send(sent);
  if (!answer) {
    return Fail(Code::kUnavailable,
                "no answer from " + origin + ": " + (stopped.empty() ? httplib::to_string(answer.error()) : stopped));
  }
  return HttpAnswer{
      .status = answer->status, .body = std::move(body), .retry_after = answer->get_header_value("Retry-After")};
}

}  // namespace assertion::oauth
