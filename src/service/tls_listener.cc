#include "service/tls_listener.h"

#include <fcntl.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <variant>

#include "assertion/client.h"
#include "assertion/descriptor.h"
#include "keys/own_key.h"
#include "observe/log.h"
#include "x509/certificate.h"
#include "x509/engine.h"
#include "x509/trust.h"

namespace assertion::service {
namespace {

constexpr unsigned kWatchSeconds = 1;
constexpr const char* kKey = "key";
constexpr const char* kChain = "chain.pem";
constexpr const char* kAuthorities = "authorities.pem";

constexpr const char* kAuthoritiesField = "tls.client_ca: ";
constexpr const char* kCertificateField = "tls.certificate: ";

std::unexpected<Error> Unusable(const std::string& what, const Error& error) {
  return Fail(Code::kTlsUnusable, what + ": " + error.message, error.detail);
}

Time FromSeconds(std::time_t seconds) { return Time(std::chrono::seconds(seconds)); }

// Does not wait for a FIFO or a device, which would delay revocations.
Result<std::string> ReadFile(const std::string& path) {
  constexpr off_t kMostOctets = off_t{8} << 20U;
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  struct stat info{};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) {
    return Fail(Code::kTlsUnusable, std::string("cannot be read: ") + std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode) || info.st_size > kMostOctets) {
    return Fail(Code::kTlsUnusable, "is not a file of at most 8 MiB");
  }
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t got = 0;
  for (ssize_t count = 1; got < text.size() && count > 0;
       got += static_cast<std::size_t>(std::max<ssize_t>(count, 0))) {
    // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): a regular file, and one refresh at a time
    count = read(file.get(), text.data() + got, text.size() - got);
  }
  if (got < text.size()) {
    return Fail(Code::kTlsUnusable, "became shorter while it was read");
  }
  return text;
}

// gRPC reads the file again when its time changes, so a file with the same text is not written.
Status Publish(const std::string& path, const std::string& text) {
  if (const auto present = ReadFile(path); present && *present == text) {
    return {};
  }
  const auto draft = path + ".new";
  const Descriptor file(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0 || !WriteAll(file, text) || rename(draft.c_str(), path.c_str()) != 0) {
    return Fail(Code::kTlsUnusable, path + ": cannot be written", std::strerror(errno));
  }
  return {};
}

// RFC 8446 sections 4 and 5.1: a record of type handshake that holds a ClientHello. gRPC limits the time of the rest of
// the handshake.
Connections::Greeting JudgeTls(std::string_view said) {
  constexpr char kHandshake = 22;
  constexpr char kMajorVersion = 3;
  constexpr std::size_t kType = 5;
  constexpr char kClientHello = 1;
  if (said[0] != kHandshake || (said.size() > 1 && said[1] != kMajorVersion) ||
      (said.size() > kType && said[kType] != kClientHello)) {
    return Connections::Greeting::kOther;
  }
  return said.size() > kType ? Connections::Greeting::kKnown : Connections::Greeting::kIncomplete;
}

}  // namespace

// gRPC has checked the chain against the authorities; this checks revocation.
class TlsListener::Verifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit Verifier(std::shared_ptr<const Peers> peers) : peers_(std::move(peers)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    const auto leaf = request->peer_cert();
    const auto verified = peers_->trust()->Verify({leaf.data(), leaf.size()});
    if (!verified) {
      static SparingLog log;
      log.Write(spdlog::level::warn, "refused a TLS handshake: " + verified.error().ToString());
      *status = {grpc::StatusCode::UNAUTHENTICATED, verified.error().message};
    }
    return true;
  }

  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  std::shared_ptr<const Peers> peers_;
};

Result<std::unique_ptr<TlsListener>> TlsListener::New(TlsOptions options, const Hsm& hsm,
                                                      std::shared_ptr<Peers> peers) {
  std::unique_ptr<TlsListener> listener(new TlsListener(std::move(options), hsm, std::move(peers)));
  if (mkdir(listener->options_.folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail(Code::kTlsUnusable, listener->options_.folder + ": cannot be made", std::strerror(errno));
  }
  // A running server tolerates unreadable CRLs for crl_grace; a starting one does not.
  const auto authorities = ReadFile(listener->options_.client_ca);
  if (!authorities) {
    return Unusable(kAuthoritiesField + listener->options_.client_ca, authorities.error());
  }
  if (const auto readable = x509::Trust::Load(*authorities, listener->options_.crl_directory); !readable) {
    return Unusable(kAuthoritiesField + listener->options_.client_ca, readable.error());
  }
  RETURN_IF_ERROR(listener->Refresh());
  return listener;
}

Status TlsListener::RefreshTrust() {
  const MutexLock lock(refresh_trust_);
  auto authorities = ReadFile(options_.client_ca);
  Status usable;
  if (!authorities) {
    usable = Unusable(kAuthoritiesField + options_.client_ca, authorities.error());
  } else if (const auto loaded = x509::Trust::Load(*authorities, ""); !loaded) {
    usable = Unusable(kAuthoritiesField + options_.client_ca, loaded.error());
  } else {
    authorities_ = std::move(*authorities);
  }
  auto trust = x509::Trust::Load(authorities_, options_.crl_directory);
  if (trust && options_.expiry != nullptr) {
    const auto crls_until = trust->crls_until();
    options_.expiry->SetTrust(FromSeconds(trust->authorities_until()),
                              crls_until ? std::optional(FromSeconds(*crls_until)) : std::nullopt);
  }
  ReportCrls(trust ? Status() : std::unexpected(trust.error()));
  if (trust && !peers_->trust()->SameAs(*trust)) {
    peers_->SetTrust(std::make_shared<const x509::Trust>(std::move(*trust)));
  }
  const auto published = Publish(Own(kAuthorities), authorities_);
  return usable ? published : usable;
}

void TlsListener::ReportCrls(const Status& readable) {
  if (readable) {
    if (crls_failing_) {
      crls_failing_.reset();
      crls_closed_ = false;
      options_.crls_noted({}, false);
    }
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  const bool first = !crls_failing_;
  crls_failing_ = crls_failing_.value_or(now);
  const bool closed = now - *crls_failing_ >= options_.crl_grace;
  if (closed && !crls_closed_) {
    peers_->SetTrust(std::make_shared<const x509::Trust>(x509::Trust::Nobody(
        "no certificate is accepted now: this server cannot read its revocation lists; ask those who run it")));
  }
  if (first || closed != crls_closed_) {
    crls_closed_ = closed;
    options_.crls_noted(readable, closed);
  }
}

Status TlsListener::Refresh() {
  const auto trust = RefreshTrust();
  const auto own = RefreshOwn();
  return trust ? own : trust;
}

Status TlsListener::RefreshOwn() {
  const MutexLock lock(refresh_);
  auto read = ReadFile(options_.certificate);
  if (!read) {
    return Unusable(kCertificateField + options_.certificate, read.error());
  }
  const auto chain = *std::move(read);
  // Finding the key searches the whole token.
  const auto epoch = hsm_.token.Epoch();
  if (!keys_.empty() && chain == chain_ && epoch == epoch_) {
    return {};
  }
  const auto found = FindTlsKey(hsm_.token, chain);
  if (!found) {
    return found.error().code == Code::kTlsUnusable ? Unusable(kCertificateField + options_.certificate, found.error())
                                                    : std::unexpected(found.error());
  }
  if (chain != chain_ || keys_.empty() || keys_.back()->id() != found->id) {
    if (auto used = UseKey(chain, *found); !used) {
      return used;
    }
  }
  epoch_ = epoch;
  return {};
}

// gRPC reads key and chain from files; the key file holds only a name that OpenSSL resolves.
Status TlsListener::UseKey(const std::string& chain, const TokenKey& found) {
  const auto made = TlsKey::New(found, hsm_.queue);
  if (!made) {
    return Unusable(kCertificateField + options_.certificate, made.error());
  }
  const auto& key = *made;
  const auto remote = x509::NewRemoteKey(
      std::get<RsaPublicKey>(found.public_key),
      [key](const Algorithm& algorithm, std::string_view message) { return key->Sign(algorithm, message); });
  const auto context =
      remote ? x509::NewServerContext(chain, *remote) : Result<x509::ServerContext>(std::unexpected(remote.error()));
  const auto reference = context ? x509::PublishKey(*remote) : std::unexpected(context.error());
  if (!reference) {
    return Unusable(kCertificateField + options_.certificate, reference.error());
  }
  for (const auto& [name, text] : {std::pair(kKey, &*reference), {kChain, &chain}}) {
    if (auto published = Publish(Own(name), *text); !published) {
      return published;
    }
  }
  chain_ = chain;
  keys_.push_back(key);
  hsm_.keys.Need(kTlsKeyLabel, found.id);
  server_context_.store(*context);
  if (const auto leaf = x509::ParsePem(chain)) {
    spdlog::info("TLS: the certificate is now {}", x509::DescriptionOf(*leaf));
    if (options_.expiry != nullptr) {
      options_.expiry->SetCertificate(leaf->not_after);
    }
  }
  return {};
}

TlsListener::~TlsListener() {
  Stop();
  for (const auto& key : keys_) {
    key->Close();
  }
}

Status TlsListener::AddTo(grpc::ServerBuilder& builder) {
  ASSIGN_OR_RETURN(auto sockets, TcpSockets::Listen(options_.address));
  sockets_ = std::move(sockets);
  port_ = sockets_->port();
  using grpc::experimental::FileWatcherCertificateProvider;
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<FileWatcherCertificateProvider>(Own(kKey), Own(kChain), Own(kAuthorities), kWatchSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
#ifndef __clang_analyzer__  // reports a leak in gRPC's header, where a callback deletes the verifier
  options.set_certificate_verifier(grpc::experimental::ExternalCertificateVerifier::Create<Verifier>(peers_));
#endif
  acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::experimental::TlsServerCredentials(options));
  return {};
}

Status TlsListener::Start(ConnectionLimits limits) {
  const auto take = [this](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.fd = fd;
    acceptor_->HandleNewConnection(&parameters);
  };
  connections_ = std::make_unique<Connections>(
      limits, Connections::Acceptor{
                  .sockets = sockets_->descriptors(),
                  .origin = TcpSockets::OriginOf,
                  .listed = [](const std::string&) { return false; },  // no peer is known before its handshake
                  .greeting = JudgeTls,
                  .hand_over = take});
  peers_->OnFirstCall([this](const std::string& peer) { connections_->CompleteHandshake(peer); });
  return connections_->Start();
}

void TlsListener::Stop() {
  peers_->OnFirstCall({});
  if (connections_) {
    connections_->Stop();
  }
  sockets_.reset();  // so that a new connection is refused at once
}

}  // namespace assertion::service
