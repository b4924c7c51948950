#include "x509/server_context.h"

#include <openssl/ssl.h>

#include <utility>

#include "x509/openssl.h"
#include "x509/pem.h"

namespace assertion::x509 {
namespace {

constexpr const char* kSuites = "ECDHE+AESGCM:ECDHE+CHACHA20";  // of TLS 1.2; those of 1.3 are all modern

std::unexpected<Error> ContextUnusable(const char* call) {
  return Fail(Code::kTlsUnusable, "the server's certificate and key cannot be used for TLS",
              std::string(call) + ": " + TakeErrors());
}

Status UseChain(SSL_CTX* context, const std::string& chain) {
  const auto blocks = ReadPem(chain);
  if (!blocks) {
    return Fail(Code::kTlsUnusable, blocks.error().message, blocks.error().detail);
  }
  bool leaf = true;
  for (const auto& block : *blocks) {
    const auto* octets = block.content.data();
    const X509Ptr certificate(d2i_X509(nullptr, &octets, static_cast<long>(block.content.size())));
    if (!certificate) {
      return ContextUnusable("d2i_X509");
    }
    if (std::exchange(leaf, false)) {
      if (SSL_CTX_use_certificate(context, certificate.get()) != 1) {
        return ContextUnusable("SSL_CTX_use_certificate");
      }
    } else if (SSL_CTX_add1_chain_cert(context, certificate.get()) != 1) {
      return ContextUnusable("SSL_CTX_add1_chain_cert");
    }
  }
  return {};
}

}  // namespace

Result<ServerContext> NewServerContext(const std::string& chain, const KeyPtr& key) {
  ServerContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context.get(), kSuites) != 1 || SSL_CTX_set_num_tickets(context.get(), 0) != 1) {
    return ContextUnusable("SSL_CTX_new");
  }
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  RETURN_IF_ERROR(UseChain(context.get(), chain));
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 || SSL_CTX_check_private_key(context.get()) != 1) {
    return ContextUnusable("SSL_CTX_use_PrivateKey");
  }
  return context;
}

}  // namespace assertion::x509
