#include "observe/http_pages.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>

#include "assertion/percent_encoding.h"
#include "jws/thumbprint.h"
#include "observe/accept.h"
#include "observe/http_target.h"
#include "observe/status_page.h"
#include "signing/publications.h"
#include "x509/certificate.h"

namespace assertion {
namespace {

constexpr int kOk = 200;
constexpr int kNotModified = 304;
constexpr int kBadRequest = 400;
constexpr int kNotFound = 404;
constexpr int kMethodNotAllowed = 405;
constexpr int kMisdirected = 421;
constexpr int kServiceUnavailable = 503;
constexpr std::chrono::seconds kLongestAge{300};
constexpr const char* kContentType = "Content-Type";
constexpr const char* kJwkSetType = "application/jwk-set+json";
constexpr const char* kHtmlType = "text/html";
constexpr const char* kJsonType = "application/json";
constexpr std::string_view kStatus = "/";
constexpr std::string_view kHealth = "/healthz";
constexpr std::string_view kReadiness = "/readyz";
constexpr std::string_view kMetrics = "/metrics";
constexpr const char* kPublications = "/clients/{client_id}/jwks.json, /clients/{client_id}/certificate.pem";
constexpr const char* kProbes = "/healthz, /readyz, /metrics";

HttpAnswer Plain(int status, const std::string& text) {
  return {.status = status, .body = text + "\n", .headers = {{kContentType, "text/plain; charset=utf-8"}}};
}

struct Target {
  std::string path;
  std::string kid;  // empty: none is asked for
};

// Nothing: it cannot be decoded.
std::optional<Target> Parse(std::string_view target) {
  constexpr std::string_view kKid = "kid=";
  const auto question = std::min(target.find('?'), target.size());
  auto path = PercentDecoded(target.substr(0, question));
  if (!path) {
    return std::nullopt;
  }
  Target parsed{.path = std::move(*path), .kid = {}};
  for (auto query = target.substr(std::min(question + 1, target.size())); !query.empty();) {
    const auto end = std::min(query.find('&'), query.size());
    if (query.starts_with(kKid)) {
      auto kid = PercentDecoded(query.substr(kKid.size(), end - kKid.size()));
      if (!kid) {
        return std::nullopt;
      }
      parsed.kid = std::move(*kid);
      break;
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return parsed;
}

// True if one of the entity tags of If-None-Match is `tag`, compared weakly (RFC 9110 section 13.1.2).
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

// How long a cache may keep what is published of these keys. A key that takes over is published publish_lead before it
// signs, and other servers may learn of it half of that later: so half of publish_lead, and no longer than until a
// key's next instant. Not at all while a key may sign as soon as it is published: with the binding kCertificate, or
// when no key signs now.
std::chrono::seconds AgeOf(const Client& client, const ClientKeys& keys, Time now) {
  auto age = std::min(kLongestAge, client.publish_lead / 2);
  bool signs = false;
  for (const auto& entry : keys.keys) {
    const auto& record = entry.record;
    signs = signs || record.SignsAt(now);
    for (const auto instant : {record.publish_from, record.sign_from, record.sign_until, record.publish_until}) {
      if (instant > now) {
        age = std::min(age, instant - now);
      }
    }
  }
  return client.binding == Binding::kJwks && signs ? age : age.zero();
}

// Answers `body`, or that the asker has it already. Each media type has an entity tag of its own.
HttpAnswer Publish(std::chrono::seconds age, const HttpRequest& request, std::string body, const char* content_type) {
  const auto tag = "\"" + jws::Sha256Thumbprint(AsBytes(content_type + ('\n' + body))) + "\"";
  HttpAnswer answer{.status = kOk,
                    .body = {},
                    .headers = {{"ETag", tag}, {"Cache-Control", "public, max-age=" + std::to_string(age.count())}}};
  if (Names(request.if_none_match, tag)) {
    answer.status = kNotModified;
  } else {
    answer.headers.emplace_back(kContentType, content_type);
    answer.body = std::move(body);
  }
  return answer;
}

HttpAnswer NoSuchClient() { return Plain(kNotFound, "no such client is configured"); }

}  // namespace

HttpAnswer HttpPages::Answer(const HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") {
    auto answer = Plain(kMethodNotAllowed, "only GET and HEAD are answered here");
    answer.headers.emplace_back("Allow", "GET, HEAD");
    return answer;
  }
  if (request.has_content) {
    return Plain(kBadRequest, "a request must not have content");
  }
  const auto target = Parse(request.target);
  if (!target) {
    return Plain(kBadRequest, "the percent-encoding is wrong");
  }
  if (part_ != Part::kProbes) {
    if (const auto jwks_of = ClientIn(target->path, "/jwks.json")) {
      return AnswerJwks(*jwks_of, request);
    }
    if (const auto certificate_of = ClientIn(target->path, "/certificate.pem")) {
      return AnswerCertificate(*certificate_of, target->kid, request);
    }
  }
  // What is published is for everybody; health tells nothing.
  if (request.misdirected && part_ != Part::kPublications && target->path != kHealth) {
    return Plain(kMisdirected,
                 "this page is for this machine alone, and Host names another: ask for it at localhost or 127.0.0.1; a "
                 "proxy must send such a Host");
  }
  if (target->path == kStatus && NamesMediaType(request.accept, kHtmlType)) {
    return AnswerStatus();
  }
  return AnswerProbe(target->path);
}

bool HttpPages::IsQuick(const HttpRequest& request) {
  return request.target == kHealth || request.target == kReadiness;
}

// Client ids are told where the metrics tell them too.
HttpAnswer HttpPages::AnswerStatus() const {
  static const auto policy = StatusPage::Policy();  // the style never changes
  StatusPage page{.shows_readiness = part_ != Part::kPublications, .shows_publications = part_ != Part::kProbes};
  if (page.shows_readiness) {
    page.reasons = readiness_.reasons();
    page.warnings = readiness_.warnings();
  }
  if (part_ == Part::kAll) {
    for (const auto known = hsms_.First()->keys.Snapshot(); const auto& [client_id, keys] : *known) {
      page.client_ids.push_back(client_id);
    }
  }
  return {.status = kOk,
          .body = page.Html(),
          .headers = {{kContentType, "text/html; charset=utf-8"},
                      {"Content-Security-Policy", policy},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-store"}}};
}

HttpAnswer HttpPages::AnswerProbe(const std::string& path) const {
  if (part_ != Part::kPublications) {
    if (path == kHealth) {
      return Plain(kOk, "ok");
    }
    if (path == kReadiness) {
      return AnswerReadiness();
    }
    if (path == kMetrics) {
      return {.status = kOk,
              .body = prometheus::TextSerializer().Serialize(metrics_()),
              .headers = {{kContentType, "text/plain; version=0.0.4; charset=utf-8"}}};
    }
  }
  std::string here = part_ == Part::kProbes ? kProbes : kPublications;
  if (part_ == Part::kAll) {
    here.append(", ").append(kProbes);
  }
  return Plain(kNotFound, "here are " + here);
}

HttpAnswer HttpPages::AnswerJwks(const std::string& client_id, const HttpRequest& request) const {
  const auto client = hsms_.First()->keys.FindClient(client_id);
  if (!client) {
    return NoSuchClient();
  }
  const auto counts_for = hsms_.CountsUntil(client_id) - std::chrono::steady_clock::now();
  if (counts_for <= counts_for.zero()) {
    auto answer = Plain(kServiceUnavailable,
                        "the keys could not be read from the HSM for most of publish_lead: ask another server");
    answer.headers.emplace_back("Cache-Control", "no-store");
    return answer;
  }
  const auto keys = hsms_.KeysOf(client_id);
  const auto age =
      std::min(AgeOf(*client, keys, hsms_.First()->keys.Now()), std::chrono::floor<std::chrono::seconds>(counts_for));
  auto answer = Publish(age, request, PublishedJwkSet(hsms_, keys),
                        NamesMediaType(request.accept, kJwkSetType) ? kJwkSetType : kJsonType);
  answer.headers.emplace_back("Vary", "Accept");
  return answer;
}

HttpAnswer HttpPages::AnswerCertificate(const std::string& client_id, const std::string& kid,
                                        const HttpRequest& request) const {
  const auto client = hsms_.First()->keys.FindClient(client_id);
  if (!client) {
    return NoSuchClient();
  }
  const auto key = CertifiedKey(hsms_, client_id, kid);
  return key ? Publish(AgeOf(*client, hsms_.KeysOf(client_id), hsms_.First()->keys.Now()), request,
                       x509::ToPem((*key)->chain), "application/pem-certificate-chain")
             : Plain(kNotFound, key.error().message);
}

HttpAnswer HttpPages::AnswerReadiness() const {
  std::string text;
  for (const auto& [part, reason] : readiness_.reasons()) {
    text.append(text.empty() ? "" : "\n").append(part).append(": ").append(reason);
  }
  const bool ready = text.empty();
  text = ready ? "ready" : text;
  for (const auto& [part, warning] : readiness_.warnings()) {
    text.append("\nwarning: ").append(part).append(": ").append(warning);
  }
  auto answer = Plain(ready ? kOk : kServiceUnavailable, text);
  answer.headers.emplace_back("Cache-Control", "no-store");
  return answer;
}

}  // namespace assertion
