#include "cli/oidc/listener.h"

#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

namespace assertion::cli {
namespace {

constexpr std::string_view kPrefix = "http://127.0.0.1";
constexpr std::size_t kMostContent = 4096;  // is read, and refused
// Static text with a style of its own.
constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

}  // namespace

RedirectListener::RedirectListener(LoopbackListener listener, std::string path)
    : listener_(std::move(listener)),
      path_(std::move(path)),
      redirect_uri_("http://" + listener_.authority() + path_) {}

Result<RedirectListener> RedirectListener::Open(const std::string& redirect_uri) {
  const auto wrong = [] {
    return Fail(Code::kInvalidArgument, "--redirect-uri must be http://127.0.0.1[:PORT]/PATH without query");
  };
  const auto slash = redirect_uri.find('/', kPrefix.size());
  if (!redirect_uri.starts_with(kPrefix) || slash == std::string::npos ||
      redirect_uri.find_first_of("?#\"<>\\ ") != std::string::npos) {
    return wrong();
  }
  const auto port_text = std::string_view(redirect_uri).substr(kPrefix.size(), slash - kPrefix.size());
  std::uint16_t port = 0;
  if (!port_text.empty()) {
    const auto* end = port_text.data() + port_text.size();
    const auto read = std::from_chars(port_text.data() + 1, end, port);
    if (port_text.front() != ':' || port_text.size() < 2 || read.ec != std::errc() || read.ptr != end) {
      return wrong();
    }
  }
  auto listener = LoopbackListener::Open(port, kMostContent);
  if (!listener) {
    return Fail(Code::kAddressUnusable, "cannot listen for --redirect-uri " + redirect_uri, listener.error().detail);
  }
  return RedirectListener(*std::move(listener), redirect_uri.substr(slash));
}

Result<std::string> RedirectListener::Wait(std::chrono::seconds limit, const std::stop_token& given_up) {
  const auto end = LoopbackListener::Steady::now() + limit;
  auto request = listener_.Next(end, given_up);
  for (; request; request = listener_.Next(end, given_up)) {
    LoopbackAnswer refusal{.type = "text/plain; charset=utf-8", .body = {}};
    if (request->method != "GET") {
      refusal.status = "405 Method Not Allowed";
    } else if (request->path != path_ || !request->has_query) {
      refusal.status = "404 Not Found";
    } else {
      browser_ = std::move(request->browser);
      listener_.Close();  // one log-in
      return std::move(request->query);
    }
    cli::Answer(request->browser, refusal);
  }
  listener_.Close();
  if (request.error().code != Code::kDeadlineExceeded) {
    return std::unexpected(std::move(request).error());
  }
  return Fail(Code::kDeadlineExceeded,
              "nobody came back from the log-in within " + std::to_string(limit.count()) + " s");
}

void RedirectListener::Answer(const std::string& page) {
  cli::Answer(browser_, {.body = page, .policy = kPolicy});
  browser_ = Descriptor();
}

}  // namespace assertion::cli
