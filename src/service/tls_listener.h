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
#include "x509/server_context.h"

namespace assertion::service {

// gRPC over mutual TLS (1.2 and 1.3). Connections are counted by their source's address: each handshake is a signature
// of the HSM for somebody who is not known yet. The server's private key stays in the token: gRPC and OpenSSL are given
// an object that asks it for each handshake's signature (TlsKey), which must be RSA. Who has no certificate of one of
// the authorities does not get through the handshake.
class TlsListener {
 public:
  // kTlsUnusable: a file cannot be used, or the token holds no key for the certificate. Tells `peers` whom to believe.
  // `queue` is the token's. Both must outlive the listener.
  static Result<std::unique_ptr<TlsListener>> New(TlsOptions options, Token& token, SigningQueue& queue,
                                                  std::shared_ptr<Peers> peers);

  // Stops.
  ~TlsListener();
  TlsListener(const TlsListener&) = delete;
  TlsListener& operator=(const TlsListener&) = delete;

  // Before the server is built. Listens from then on, and accepts nobody. kAddressUnusable.
  Status AddTo(grpc::ServerBuilder& builder);

  // Once the server runs. kInternal.
  Status Start(ConnectionLimits limits);

  // Null before Start and after Stop.
  Connections* connections() { return connections_.get(); }

  // Listens no more.
  void Stop();

  // Where it listens, from AddTo on.
  int port() const { return port_; }

  // For the HTTP listener: the same certificate and key.
  x509::ServerContext server_context() const { return server_context_.load(); }

  // As RefreshTrust, and reads the server's own certificate again, and finds its key again in a token that was
  // connected anew. New connections see what changed; what cannot be used stays as it was.
  Status Refresh();

  // Reads authorities and CRLs again. Does not need the token. Authorities that cannot be used stay as they were. So do
  // CRLs, for TlsOptions::crl_grace; then nobody's certificate is believed until all of them can be read.
  Status RefreshTrust();

 private:
  class Verifier;
  using Instant = std::chrono::steady_clock::time_point;

  TlsListener(TlsOptions options, Token& token, SigningQueue& queue, std::shared_ptr<Peers> peers)
      : options_(std::move(options)), token_(token), queue_(queue), peers_(std::move(peers)) {}

  Status RefreshOwn();
  void NoteCrls(const Status& readable) REQUIRES(refresh_trust_);
  Status Take(const std::string& chain, const TokenKey& found) REQUIRES(refresh_);
  std::string Own(const char* name) const { return options_.folder + "/" + name; }

  const TlsOptions options_;
  Token& token_;
  SigningQueue& queue_;
  const std::shared_ptr<Peers> peers_;  // gRPC's verifier may outlive this object
  int port_ = 0;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::optional<TcpSockets> sockets_;
  std::unique_ptr<Connections> connections_;
  Mutex refresh_trust_;
  std::string authorities_ GUARDED_BY(refresh_trust_);              // the last that could be used
  std::optional<Instant> crls_failing_ GUARDED_BY(refresh_trust_);  // since when not all CRLs can be read
  bool crls_closed_ GUARDED_BY(refresh_trust_) = false;             // and that was too long ago
  Mutex refresh_;
  std::string chain_ GUARDED_BY(refresh_);   // as Refresh last took it over
  unsigned epoch_ GUARDED_BY(refresh_) = 0;  // of the token, then
  // The last belongs to chain_; OpenSSL may still use earlier ones.
  std::vector<std::shared_ptr<TlsKey>> keys_ GUARDED_BY(refresh_);
  std::atomic<x509::ServerContext> server_context_;
};

}  // namespace assertion::service
