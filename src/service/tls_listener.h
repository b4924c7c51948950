#pragma once

#include <grpcpp/server_builder.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "assertion/error.h"
#include "assertion/token.h"
#include "service/tls_options.h"
#include "x509/server_context.h"
#include "x509/trust.h"

namespace assertion::service {

// gRPC over mutual TLS (1.2 and 1.3). The server's private key is the token's: gRPC is given its PKCS#11 URI, which
// libp11's engine resolves within this process's login; no PIN stands in it. Who has no certificate of one of the
// authorities does not get through the handshake.
class TlsListener {
 public:
  // kTlsUnusable: a file cannot be used, or the token holds no key for the certificate.
  static Result<std::unique_ptr<TlsListener>> New(TlsOptions options, Token& token);

  // Before the server is built, which fails when the address cannot be listened on.
  void AddTo(grpc::ServerBuilder& builder);

  // Where it listens, once the server is built. 0: it does not.
  int port() const { return port_; }
  const std::string& address() const { return options_.address; }

  // For the HTTP listener: the same certificate and key.
  x509::ServerContext server_context() const { return server_context_.load(); }

  // Reads certificate, authorities and CRLs again, and finds the key again in a token that was connected anew. New
  // connections see what changed; after an error all stays as it was.
  Status Refresh();

 private:
  class Verifier;
  using CurrentTrust = std::atomic<std::shared_ptr<const x509::Trust>>;

  TlsListener(TlsOptions options, Token& token)
      : options_(std::move(options)), token_(token), trust_(std::make_shared<CurrentTrust>()) {}

  Result<std::string> KeyUriFor(const std::string& chain) const;
  std::string Own(const char* name) const { return options_.folder + "/" + name; }

  const TlsOptions options_;
  Token& token_;
  std::shared_ptr<CurrentTrust> trust_;  // gRPC's verifier may outlive this object
  int port_ = 0;
  std::mutex refresh_;
  std::string chain_;    // as Refresh last took it over
  unsigned epoch_ = 0;   // of the token, then
  std::string key_uri_;  // of that chain's private key
  std::atomic<x509::ServerContext> server_context_;
};

}  // namespace assertion::service
