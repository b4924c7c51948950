#pragma once

#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assertion/error.h"
#include "assertion/mutex.h"
#include "assertion/token.h"
#include "service/connections.h"
#include "service/peers.h"
#include "service/tcp_sockets.h"
#include "service/tls_key.h"
#include "service/tls_options.h"
#include "signing/hsm_group.h"
#include "x509/server_context.h"

namespace assertion::service {

// gRPC over mutual TLS (1.2 and 1.3). Connections are limited per source address, because each handshake costs a
// signature of the HSM before the peer is known. The server's private key, RSA, stays in the token: gRPC and OpenSSL
// get an object that requests each handshake's signature from it (TlsKey). A handshake without a certificate from one
// of the configured authorities fails.
class TlsListener {
 public:
  // Sets the trust of `peers`. The parts of `hsm`, which holds the key, must outlive the listener. kTlsUnusable: a file
  // cannot be used, or the token holds no key for the certificate.
  static Result<std::unique_ptr<TlsListener>> New(TlsOptions options, const Hsm& hsm, std::shared_ptr<Peers> peers);

  // Stops.
  ~TlsListener();
  TlsListener(const TlsListener&) = delete;
  TlsListener& operator=(const TlsListener&) = delete;

  // Call it before the server is built. Listens, but accepts no connection before Start. kAddressUnusable.
  Status AddTo(grpc::ServerBuilder& builder);

  // Call it when the server runs. kInternal.
  Status Start(ConnectionLimits limits);

  // Null before Start.
  Connections* connections() { return connections_.get(); }

  // Accepts no more connections and closes the sockets.
  void Stop();

  // The port, from AddTo on.
  int port() const { return port_; }

  // For the HTTP listener: the same certificate and key.
  x509::ServerContext server_context() const { return server_context_.load(); }

  // RefreshTrust; also reads the server's own certificate again, and finds its key again after the token was
  // reconnected. New connections use the changes. A file that cannot be used changes nothing.
  Status Refresh();

  // Reads authorities and CRLs again, without the token. While authorities cannot be used, the previous ones stay in
  // force. So do CRLs, for TlsOptions::crl_grace; afterwards no certificate is trusted until all CRLs can be read.
  Status RefreshTrust();

 private:
  class Verifier;
  using Instant = std::chrono::steady_clock::time_point;

  TlsListener(TlsOptions options, const Hsm& hsm, std::shared_ptr<Peers> peers)
      : options_(std::move(options)), hsm_(hsm), peers_(std::move(peers)) {}

  Status RefreshOwn();
  void ReportCrls(const Status& readable) REQUIRES(refresh_trust_);
  Status UseKey(const std::string& chain, const TokenKey& found) REQUIRES(refresh_);
  std::string Own(const char* name) const { return options_.folder + "/" + name; }

  const TlsOptions options_;
  const Hsm hsm_;
  const std::shared_ptr<Peers> peers_;  // gRPC's verifier may outlive this object
  int port_ = 0;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::optional<TcpSockets> sockets_;
  std::unique_ptr<Connections> connections_;
  Mutex refresh_trust_;
  std::string authorities_ GUARDED_BY(refresh_trust_);              // the last usable ones
  std::optional<Instant> crls_failing_ GUARDED_BY(refresh_trust_);  // unset: all CRLs can be read
  bool crls_closed_ GUARDED_BY(refresh_trust_) = false;             // crl_grace is over
  Mutex refresh_;
  std::string chain_ GUARDED_BY(refresh_);   // the one in use
  unsigned epoch_ GUARDED_BY(refresh_) = 0;  // of the token when chain_ was last compared
  // The last belongs to chain_; OpenSSL may still use earlier ones.
  std::vector<std::shared_ptr<TlsKey>> keys_ GUARDED_BY(refresh_);
  std::atomic<x509::ServerContext> server_context_;
};

}  // namespace assertion::service
