#include "daemon/http_listeners.h"

#include <spdlog/spdlog.h>

#include <cstddef>
#include <utility>

#include "observe/http_pages.h"

namespace assertion {

std::string InBrackets(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

Result<HttpListeners> HttpListeners::Start(const Config& config, const HsmGroup& hsms, const Readiness& readiness,
                                           const Metrics& metrics, const service::Server& server) {
  constexpr std::size_t kAdminSpares = 4;
  const auto collect = [&metrics] { return metrics.Collect(); };
  HttpListeners listeners;
  if (!config.admin_host.empty()) {
    ASSIGN_OR_RETURN(listeners.admin,
                     HttpListener::Start({.field = "admin_listen",
                                          .host = config.admin_host,
                                          .port = config.admin_port,
                                          .limits = HttpListener::AdminLimits(),
                                          .spares = kAdminSpares},
                                         HttpPages(HttpPages::Part::kProbes, hsms, readiness, collect)));
    spdlog::info("probes and metrics on http://{}:{}", InBrackets(config.admin_host), listeners.admin->port());
  }
  if (!config.http_host.empty()) {
    HttpListener::Options options{.field = "http_listen",
                                  .host = config.http_host,
                                  .port = config.http_port,
                                  .limits = HttpListener::PublicLimits()};
    if (config.tls) {
      options.tls = [&server] { return server.tls_context(); };
    }
    const auto part = listeners.admin ? HttpPages::Part::kPublications : HttpPages::Part::kAll;
    ASSIGN_OR_RETURN(listeners.published,
                     HttpListener::Start(std::move(options), HttpPages(part, hsms, readiness, collect)));
    spdlog::info("publishing on {}://{}:{}", config.tls ? "https" : "http", InBrackets(config.http_host),
                 listeners.published->port());
  }
  return listeners;
}

}  // namespace assertion
