#include "service/authentication.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "assertion/spiffe_id.h"
#include "service/local_listener.h"
#include "service/local_socket.h"

namespace assertion::service {
namespace {

constexpr std::size_t kMostNames = 32;

std::vector<std::string> Values(const grpc::AuthContext& context, const char* property) {
  std::vector<std::string> values;
  for (const auto& value : context.FindPropertyValues(property)) {
    values.emplace_back(value.data(), value.size());
  }
  return values;
}

// False for a wildcard, which stands for many hosts and names none.
bool IsHostName(const std::string& name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

// A SPIFFE ID counts if it is the only URI (SPIFFE X.509-SVID, section 2) and valid: "spiffe://td/pay/../admin" would
// otherwise match a prefix that it is not below. DNS names ignore case (RFC 4343). Other octets are refused: software
// that ends strings at NUL would read another name.
std::vector<std::string> CertificateNames(const grpc::AuthContext& context) {
  std::vector<std::string> names;
  const auto uris = Values(context, GRPC_PEER_URI_PROPERTY_NAME);
  if (uris.size() == 1 && IsWorkloadSpiffeId(uris.front())) {
    names.push_back(uris.front());
  }
  for (auto name : Values(context, GRPC_PEER_DNS_PROPERTY_NAME)) {
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (IsHostName(name)) {
      names.push_back("dns:" + name);
    }
  }
  return names;
}

}  // namespace

Result<Caller> LocalCaller(uid_t user) {
  if (user == OverflowUser()) {
    return Fail(Code::kUnauthenticated,
                "the kernel does not tell which user you are, only that you are one whom the server's user namespace "
                "does not map, or the user nobody: give your process a user of its own that the server's namespace "
                "has (no PrivateUsers=, hostUsers: true, or map the user)");
  }
  return Caller::Authenticated({"uid:" + std::to_string(user)});
}

Result<Caller> Authenticate(const grpc::ServerContextBase& context) {
  if (const auto user = LocalListener::UserOf(context.peer())) {
    return LocalCaller(*user);
  }
  const auto& properties = *context.auth_context();
  const auto transport = Values(properties, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  if (transport != std::vector<std::string>{GRPC_SSL_TRANSPORT_SECURITY_TYPE} &&
      transport != std::vector<std::string>{"tls"}) {
    return Fail(Code::kUnauthenticated,
                "the peer is not known: call over the server's Unix domain socket, or over TLS");
  }
  auto names = CertificateNames(properties);
  if (names.empty() || names.size() > kMostNames) {
    return Fail(Code::kUnauthenticated,
                "your certificate names nobody: it needs a valid SPIFFE ID, as its only URI, or a DNS name as subject "
                "alternative name");
  }
  return Caller::Authenticated(std::move(names));
}

}  // namespace assertion::service
