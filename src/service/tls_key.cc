#include "service/tls_key.h"

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "jws/thumbprint.h"
#include "x509/verifier.h"

namespace assertion::service {
namespace {

constexpr std::chrono::milliseconds kLimit{1500};  // less than gRPC's limit for a handshake
constexpr const char* kCaller = "TLS handshakes";

}  // namespace

Result<std::shared_ptr<TlsKey>> TlsKey::New(const TokenKey& key, SigningQueue& queue) {
  std::shared_ptr<TlsKey> made(new TlsKey(key.id, queue));
  for (const auto& algorithm : kAlgorithms) {
    if (algorithm.curve != nullptr) {
      continue;
    }
    auto verifier = x509::Verifier::New(key.public_key, algorithm);
    if (!verifier) {
      return Fail(Code::kTlsUnusable, "the key of TLS must be RSA", verifier.error().ToString());
    }
    made->keys_.emplace(&algorithm, std::make_shared<SigningKey>(SigningKey{.client_id = {},
                                                                            .algorithm = &algorithm,
                                                                            .id = key.id,
                                                                            .public_key = key.public_key,
                                                                            .kid = jws::JwkThumbprint(key.public_key),
                                                                            .chain = {},
                                                                            .verifier = std::move(*verifier)}));
  }
  return made;
}

Result<Bytes> TlsKey::Sign(const Algorithm& algorithm, std::string_view message) {
  const std::shared_lock open(open_);
  const auto key = keys_.find(&algorithm);
  if (closed_ || key == keys_.end()) {
    return Fail(Code::kUnavailable, "the TLS key does not sign");
  }
  const auto promise = std::make_shared<std::promise<Result<Bytes>>>();
  auto signature = promise->get_future();
  const auto accepted = queue_.Submit({.key = key->second,
                                       .input = SigningInput(std::string(message)),
                                       .caller = kCaller,
                                       .deadline = std::chrono::steady_clock::now() + kLimit,
                                       .done = [promise](Result<Signed> made) {
                                         promise->set_value(made ? Result<Bytes>(std::move(made->signature))
                                                                 : std::unexpected(made.error()));
                                       }});
  return accepted ? signature.get() : std::unexpected(accepted.error());
}

void TlsKey::Close() {
  const std::unique_lock closing(open_);
  closed_ = true;
}

}  // namespace assertion::service
