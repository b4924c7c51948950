#include "service/key_admin_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "jws/thumbprint.h"
#include "service/authentication.h"
#include "service/message.h"
#include "service/status.h"

namespace assertion::service {
namespace {

using std::chrono::days;
using std::chrono::seconds;

constexpr std::size_t kMaxWaitingChanges = 16;
constexpr std::array kKeyBits = {2048, 3072, 4096};
constexpr std::size_t kMaxCommonName = 64;  // RFC 5280 appendix A.1, ub-common-name
constexpr seconds kDefaultValidity = days(365);
constexpr seconds kLongestValidity = days(3650);

v1::Key ToProto(const SigningKey& key) {
  v1::Key proto;
  proto.set_client_id(key.client_id);
  proto.set_kid(key.kid);
  proto.set_algorithm(std::string(key.algorithm->name));
  proto.set_key_bits(key.bits());
  proto.set_cka_id(key.id.data(), key.id.size());
  if (!key.chain.empty()) {
    const auto& leaf = key.chain.front();
    proto.set_x5t_s256(jws::Sha256Thumbprint(leaf.der));
    proto.mutable_not_before()->set_seconds(leaf.not_before.time_since_epoch().count());
    proto.mutable_not_after()->set_seconds(leaf.not_after.time_since_epoch().count());
  }
  return proto;
}

Result<seconds> ValidityOf(const v1::GenerateKeyRequest& request) {
  if (!request.has_certificate_validity()) {
    return kDefaultValidity;
  }
  const seconds validity(request.certificate_validity().seconds());
  if (request.certificate_validity().nanos() != 0 || validity < days(1) || validity > kLongestValidity) {
    return Fail(Code::kInvalidArgument, "certificate_validity: must be whole seconds from 1 day to 3650 days");
  }
  return validity;
}

Result<std::string> CommonNameOf(const v1::GenerateKeyRequest& request) {
  if (request.common_name().empty()) {
    return request.client_id().substr(0, kMaxCommonName);
  }
  const auto& name = request.common_name();
  // Characters, not octets: UTF-8 continuation octets do not count.
  const auto characters = std::ranges::count_if(name, [](char c) { return (c & 0xC0) != 0x80; });
  if (static_cast<std::size_t>(characters) > kMaxCommonName ||
      std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
    return Fail(Code::kInvalidArgument, "common_name: must be 1 to 64 characters without control characters");
  }
  return name;
}

}  // namespace

KeyAdminService::KeyAdminService(const Policy& policy, KeyRing& keys)
    : policy_(policy), keys_(keys), worker_([this] { Work(); }) {}

KeyAdminService::~KeyAdminService() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  filled_.notify_all();
  worker_.join();
}

Result<GenerateKeyRequest> KeyAdminService::Vet(const grpc::CallbackServerContext& context,
                                                const grpc::ByteBuffer& wire) const {
  if (const auto caller = Authenticate(context); !caller) {
    return std::unexpected(caller.error());
  }
  v1::GenerateKeyRequest request;
  if (const auto parsed = Parse(wire, request); !parsed) {
    return std::unexpected(parsed.error());
  }
  const auto client = policy_.FindClient(request.client_id());
  if (!client) {
    return std::unexpected(client.error());
  }
  const int bits = request.key_bits() == 0 ? (*client)->algorithm->default_key_bits : request.key_bits();
  if (std::ranges::find(kKeyBits, bits) == kKeyBits.end()) {
    return Fail(Code::kInvalidArgument, "key_bits: must be 2048, 3072 or 4096");
  }
  auto common_name = CommonNameOf(request);
  if (!common_name) {
    return std::unexpected(common_name.error());
  }
  const auto validity = ValidityOf(request);
  if (!validity) {
    return std::unexpected(validity.error());
  }
  return GenerateKeyRequest{.client_id = request.client_id(),
                            .bits = bits,
                            .common_name = std::move(*common_name),
                            .certificate_validity = *validity};
}

grpc::ServerUnaryReactor* KeyAdminService::GenerateKey(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* reactor = context->DefaultReactor();
  auto vetted = Vet(*context, *request);
  if (!vetted) {
    Refuse(reactor, vetted.error());
    return reactor;
  }
  const auto accepted = Enqueue([this, wanted = std::move(*vetted), response, reactor] {
    const auto key = keys_.Generate(wanted);
    if (!key) {
      Refuse(reactor, key.error());
      return;
    }
    spdlog::info("generated key {} for client {}", (*key)->kid, (*key)->client_id);
    v1::GenerateKeyResponse reply;
    *reply.mutable_key() = ToProto(**key);
    *response = Serialize(reply);
    reactor->Finish(grpc::Status::OK);
  });
  if (!accepted) {
    Refuse(reactor, accepted.error());
  }
  return reactor;
}

grpc::ServerUnaryReactor* KeyAdminService::ListKeys(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* reactor = context->DefaultReactor();
  if (const auto caller = Authenticate(*context); !caller) {
    Refuse(reactor, caller.error());
    return reactor;
  }
  v1::ListKeysRequest parsed;
  if (const auto fit = Parse(*request, parsed); !fit) {
    Refuse(reactor, fit.error());
    return reactor;
  }
  v1::ListKeysResponse reply;
  for (const auto& [client_id, key] : *keys_.Snapshot()) {
    *reply.add_keys() = ToProto(*key);
  }
  *response = Serialize(reply);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

Status KeyAdminService::Enqueue(std::move_only_function<void()> change) {
  {
    const std::lock_guard lock(mutex_);
    if (changes_.size() >= kMaxWaitingChanges) {
      return Fail(Code::kResourceExhausted, "too many changes are waiting; try again later");
    }
    changes_.push_back(std::move(change));
  }
  filled_.notify_one();
  return {};
}

// Finishes what was accepted before it ends.
void KeyAdminService::Work() {
  while (true) {
    std::move_only_function<void()> change;
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return closing_ || !changes_.empty(); });
      if (changes_.empty()) {
        return;
      }
      change = std::move(changes_.front());
      changes_.pop_front();
    }
    change();
  }
}

}  // namespace assertion::service
