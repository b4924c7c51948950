#include "observe/status_page.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "assertion/bytes.h"
#include "assertion/foreign_text.h"

namespace assertion {
namespace {

constexpr std::size_t kMostClients = 500;
constexpr std::size_t kLongestText = 1000;

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
.state { font-size: 1.25rem; font-weight: 600; border-left: .5rem solid; padding-left: .75rem; }
.good { border-color: #1f7a45; } .bad { border-color: #b3261e; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .8rem .3rem 0; }
td, th, li { overflow-wrap: anywhere; }
)";

// Text in an element: it holds no character that means something in HTML.
std::string Text(std::string_view text) { return Shown(text, kLongestText, "<>&\"'"); }

// RFC 3986 section 2.1, for a segment of a path.
std::string Segment(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kUnreserved = "-._~";
  std::string segment;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (plain || kUnreserved.find(c) != std::string_view::npos) {
      segment += c;
    } else {
      segment.append(1, '%').append(1, kDigits[octet >> 4U]).append(1, kDigits[octet & 0xFU]);
    }
  }
  return segment;
}

std::string Links(std::string_view path) {
  const std::string target(path);
  return "<a href=\"" + target + "\">" + target + "</a>";
}

std::string List(std::string_view heading, const Readiness::Reasons& parts) {
  std::string html;
  for (const auto& [part, reason] : parts) {
    html += "<li>" + Text(part) + ": " + Text(reason) + "</li>\n";
  }
  return parts.empty() ? html : "<h2>" + std::string(heading) + "</h2>\n<ul>\n" + html + "</ul>\n";
}

std::string Publications(const std::vector<std::string>& client_ids) {
  std::string html = "<h2>Published keys</h2>\n";
  if (client_ids.empty()) {
    return html +
           "<p>The JWK Set of a client is at <code>/clients/CLIENT_ID/jwks.json</code>, the certificate chain of the "
           "key "
           "that signs at <code>/clients/CLIENT_ID/certificate.pem</code>.</p>\n";
  }
  html += "<table>\n<tr><th>client</th><th>JWK Set</th><th>certificate</th></tr>\n";
  for (std::size_t i = 0; i < std::min(client_ids.size(), kMostClients); ++i) {
    const auto base = "/clients/" + Segment(client_ids[i]);
    html.append("<tr><td>").append(Text(client_ids[i])).append("</td>");
    html.append("<td><a href=\"").append(base).append("/jwks.json\">jwks.json</a></td>");
    html.append("<td><a href=\"").append(base).append("/certificate.pem\">certificate.pem</a></td></tr>\n");
  }
  html += "</table>\n";
  if (client_ids.size() > kMostClients) {
    html += "<p>and " + std::to_string(client_ids.size() - kMostClients) + " more.</p>\n";
  }
  return html;
}

}  // namespace

std::string StatusPage::Html() const {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>assertiond</title>\n<style>" +
      std::string(kStyle) + "</style>\n</head>\n<body>\n<h1>assertiond</h1>\n" +
      "<p>It signs OAuth 2.0 client assertions with keys that never leave the HSM.</p>\n";
  if (shows_readiness) {
    html += reasons.empty() ? "<p class=\"state good\">Ready</p>\n" : "<p class=\"state bad\">Not ready</p>\n";
    html += List("What is wrong", reasons) + List("Warnings", warnings);
  }
  if (shows_publications) {
    html += Publications(client_ids);
  }
  if (shows_readiness) {
    html += "<h2>For monitoring</h2>\n<p>" + Links("/readyz") + ", " + Links("/healthz") + ", " + Links("/metrics") +
            "</p>\n";
  }
  return html + "</body>\n</html>\n";
}

std::string StatusPage::Policy() {
  constexpr std::size_t kOctets = 32;
  constexpr std::size_t kEncoded = 45;  // with the zero that OpenSSL adds
  std::array<unsigned char, kOctets> hash{};
  std::array<unsigned char, kEncoded> encoded{};
  EVP_Q_digest(nullptr, "SHA256", nullptr, kStyle.data(), kStyle.size(), hash.data(), nullptr);
  const auto size = EVP_EncodeBlock(encoded.data(), hash.data(), kOctets);
  return "default-src 'none'; style-src 'sha256-" + std::string(encoded.begin(), encoded.begin() + size) +
         "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

}  // namespace assertion
