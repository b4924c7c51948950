#include <grp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "assertion/foreign_text.h"
#include "config/sections.h"

namespace assertion {
namespace {

using std::chrono::seconds;

// Reads HOST:PORT and takes the brackets of an IPv6 address off. False when it is neither.
bool ParseHostPort(const std::string& text, std::string& host, int& port) {
  constexpr int kMostPort = 65535;
  constexpr std::size_t kMostDigits = 5;
  const auto colon = text.rfind(':');
  const auto digits = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  const bool number = !digits.empty() && digits.size() <= kMostDigits &&
                      std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  port = number ? std::stoi(digits) : -1;
  return !host.empty() && port >= 0 && port <= kMostPort;
}

// False when the field is absent or refused.
bool TakeHostPort(Fields& fields, const char* field, bool required, const char* example, std::string& host, int& port) {
  const auto* listen = fields.TakeString(field, required);
  if (listen == nullptr) {
    return false;
  }
  const bool valid = ParseHostPort(*listen, host, port);
  if (!valid) {
    fields.Refuse(field,
                  std::string("must be HOST:PORT, for example ") + example + "; port 0: one that the system chooses");
  }
  return valid;
}

}  // namespace

std::string TakeSocketPath(Fields& section, const char* field, bool required) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un
  const auto* listen = section.TakeString(field, required);
  if (listen == nullptr) {
    return {};
  }
  std::string_view path = *listen;
  if (path.starts_with('/')) {
    section.Refuse(field,
                   "must begin with unix:; did you mean \"unix:" + std::string(path.substr(0, kMaxSocketPath)) + "\"?");
    return {};
  }
  if (path.starts_with(kUnix)) {
    path.remove_prefix(kUnix.size());
    if (path.starts_with("//")) {
      path.remove_prefix(2);
    }
  }
  if (!path.starts_with('/')) {
    section.Refuse(field, "must be unix: and an absolute path, for example unix:/run/assertiond/assertiond.sock");
  } else if (path.size() > kMaxSocketPath || path.find('\0') != std::string_view::npos) {
    section.Refuse(field, "the path must have at most " + std::to_string(kMaxSocketPath) +
                              " octets: a Unix socket's name holds no more");
  }
  return std::string(path);
}

std::optional<gid_t> TakeGroup(Fields& section, const char* field) {
  constexpr std::size_t kMostOfGroup = 64;  // octets that a message shows
  const auto* name = section.TakeString(field, false);
  if (name == nullptr) {
    return std::nullopt;
  }
  group entry{};
  group* found = nullptr;
  std::array<char, 65536> buffer{};  // holds the members' names too
  if (name->find('\0') == std::string::npos) {
    getgrnam_r(name->c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (found == nullptr) {
    section.Refuse(field, "this machine has no group " + Quoted(*name, kMostOfGroup) +
                              ": make it first (groupadd --system NAME), or name another");
    return std::nullopt;
  }
  return found->gr_gid;
}

void ReadSocket(Fields& fields, Config& config) {
  config.socket_path = TakeSocketPath(fields, "listen", true);
  config.socket_group = TakeGroup(fields, "listen_group");
  config.token_socket_path = TakeSocketPath(fields, "token_listen", false);
  config.token_socket_group = TakeGroup(fields, "token_listen_group");
  if (!config.token_socket_path.empty() && config.token_socket_path == config.socket_path) {
    fields.Refuse("token_listen", "is the socket of listen, which speaks gRPC: name another");
  }
  if (config.token_socket_group && config.token_socket_path.empty()) {
    fields.Refuse("token_listen_group", "is for token_listen, which is absent");
  }
}

void ReadTls(Fields& fields, Config& config) {
  auto section = fields.TakeObject("tls");
  if (!section) {
    return;
  }
  auto& tls = config.tls.emplace();
  TakeHostPort(*section, "listen", true, "0.0.0.0:8443", tls.host, tls.port);
  tls.hsm = TakeHsmName(*section, config);
  tls.certificate = section->TakePath("certificate", true);
  tls.client_ca = section->TakePath("client_ca", true);
  tls.crl_directory = section->TakePath("crl_directory", false);
  if (const auto grace = section->TakeDuration("crl_grace")) {
    tls.crl_grace = *grace;
    if (tls.crl_directory.empty()) {
      section->Refuse("crl_grace", "is for CRLs: needs crl_directory");
    }
  }
  section->RefuseTheRest();
}

void ReadHttpListeners(Fields& fields, Config& config) {
  const auto& host = config.http_host;
  const bool serves = TakeHostPort(fields, "http_listen", false, "127.0.0.1:8089", config.http_host, config.http_port);
  if (serves && !config.tls && host != "localhost" && host != "::1" && !host.starts_with("127.")) {
    config.warnings.emplace_back(
        "http_listen: plain HTTP beyond this machine: who can change an answer on its way chooses the keys that "
        "identity servers trust; with tls it is HTTPS");
  }
  TakeHostPort(fields, "admin_listen", false, "127.0.0.1:8090", config.admin_host, config.admin_port);
  if (serves && config.admin_port != 0 && config.admin_port == config.http_port && config.admin_host == host) {
    fields.Refuse("admin_listen", "is the address of http_listen: leave it out, or take another port");
  }
}

void ReadConnections(Fields& fields, Config& config) {
  auto section = fields.TakeObject("connections");
  if (!section) {
    return;
  }
  const auto take = [&section](const char* name, std::size_t& limit) {
    if (const auto count = section->TakeCount(name)) {
      limit = static_cast<std::size_t>(*count);
    }
  };
  take("per_peer", config.connections.per_peer);
  take("total", config.connections.total);
  take("handshakes", config.connections.handshakes);
  section->RefuseTheRest();
}

}  // namespace assertion
