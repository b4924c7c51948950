#include "service/key_admin_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "jws/compact.h"
#include "jws/thumbprint.h"
#include "keys/evidence.h"
#include "service/authentication.h"
#include "service/message.h"
#include "service/status.h"
#include "x509/distinguished_name.h"

namespace assertion::service {
namespace {

using std::chrono::days;
using std::chrono::seconds;

constexpr std::size_t kMaxWaitingChanges = 16;
constexpr std::array kKeyBits = {2048, 3072, 4096};
constexpr std::size_t kMaxCommonName = 64;  // RFC 5280 appendix A.1, ub-common-name
constexpr std::size_t kMaxRequestId = 64;
constexpr seconds kDefaultValidity = days(365);
constexpr seconds kLongestValidity = days(3650);
constexpr seconds kLongestProof{30};

// RFC 7523 section 2.2.
constexpr const char* kClientAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

v1::KeyState ToProto(KeyState state) {
  switch (state) {
    case KeyState::kStaged:
      return v1::KEY_STATE_STAGED;
    case KeyState::kPublished:
      return v1::KEY_STATE_PUBLISHED;
    case KeyState::kSigning:
      return v1::KEY_STATE_SIGNING;
    case KeyState::kRetiring:
      return v1::KEY_STATE_RETIRING;
    case KeyState::kWithdrawn:
      return v1::KEY_STATE_WITHDRAWN;
  }
  return v1::KEY_STATE_UNSPECIFIED;
}

v1::Key ToProto(const std::string& client_id, const ScheduledKey& entry, std::int64_t version, Time now) {
  const auto& record = entry.record;
  v1::Key proto;
  proto.set_client_id(client_id);
  proto.set_kid(record.kid);
  proto.set_algorithm(std::string(record.algorithm->name));
  proto.set_cka_id(record.id.data(), record.id.size());
  proto.set_state(ToProto(record.StateAt(now)));
  const auto set = [](google::protobuf::Timestamp* timestamp, Time time) {
    timestamp->set_seconds(time.time_since_epoch().count());
  };
  set(proto.mutable_publish_from(), record.publish_from);
  set(proto.mutable_sign_from(), record.sign_from);
  set(proto.mutable_sign_until(), record.sign_until);
  set(proto.mutable_publish_until(), record.publish_until);
  proto.set_version(version);
  if (entry.key) {
    proto.set_key_bits(entry.key->bits());
    if (!entry.key->chain.empty()) {
      const auto& leaf = entry.key->chain.front();
      proto.set_x5t_s256(jws::Sha256Thumbprint(leaf.der));
      set(proto.mutable_not_before(), leaf.not_before);
      set(proto.mutable_not_after(), leaf.not_after);
    }
  }
  return proto;
}

template <typename Request>
Result<seconds> ValidityOf(const Request& request) {
  if (!request.has_certificate_validity()) {
    return kDefaultValidity;
  }
  const seconds validity(request.certificate_validity().seconds());
  if (request.certificate_validity().nanos() != 0 || validity < days(1) || validity > kLongestValidity) {
    return Fail(Code::kInvalidArgument, "certificate_validity: must be whole seconds from 1 day to 3650 days");
  }
  return validity;
}

template <typename Request>
Result<std::string> CommonNameOf(const Request& request) {
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

template <typename Request>
Result<NewKeyRequest> NewKeyOf(const Request& request, const Client& client) {
  const int bits = request.key_bits() == 0 ? client.algorithm->default_key_bits : request.key_bits();
  if (std::ranges::find(kKeyBits, bits) == kKeyBits.end()) {
    return Fail(Code::kInvalidArgument, "key_bits: must be 2048, 3072 or 4096");
  }
  auto common_name = CommonNameOf(request);
  const auto validity = ValidityOf(request);
  if (!common_name || !validity) {
    return std::unexpected(common_name ? validity.error() : common_name.error());
  }
  return NewKeyRequest{.bits = bits, .common_name = std::move(*common_name), .certificate_validity = *validity};
}

Result<Time> InstantOf(const google::protobuf::Timestamp& timestamp, const char* field) {
  const Time time{seconds(timestamp.seconds())};
  if (timestamp.nanos() != 0 || timestamp.seconds() < 0 || time > kNever) {
    return Fail(Code::kInvalidArgument,
                std::string(field) + ": must be whole seconds from 1970-01-01T00:00:00Z to " + Rfc3339(kNever));
  }
  return time;
}

Result<Instants> InstantsOf(const v1::ScheduleKeyRequest& request) {
  Instants instants;
  const auto take = [](bool has, const google::protobuf::Timestamp& timestamp, const char* field,
                       std::optional<Time>& instant) -> Status {
    if (!has) {
      return {};
    }
    const auto time = InstantOf(timestamp, field);
    if (!time) {
      return std::unexpected(time.error());
    }
    instant = *time;
    return {};
  };
  for (const auto& taken :
       {take(request.has_publish_from(), request.publish_from(), "publish_from", instants.publish_from),
        take(request.has_sign_from(), request.sign_from(), "sign_from", instants.sign_from),
        take(request.has_sign_until(), request.sign_until(), "sign_until", instants.sign_until),
        take(request.has_publish_until(), request.publish_until(), "publish_until", instants.publish_until)}) {
    if (!taken) {
      return std::unexpected(taken.error());
    }
  }
  if (!instants.publish_from && !instants.sign_from && !instants.sign_until && !instants.publish_until) {
    return Fail(Code::kInvalidArgument,
                "sign_from: give at least one of publish_from, sign_from, sign_until, publish_until");
  }
  return instants;
}

// What `change` says. The digest is over the request without what a repetition may say otherwise.
template <typename Request>
Result<ChangeRequest> ChangeOf(const Request& request) {
  const auto& change = request.change();
  if (!change.has_expected_version()) {
    return Fail(Code::kInvalidArgument, "change.expected_version: must be given; ListKeys tells it");
  }
  if (change.request_id().size() > kMaxRequestId) {
    return Fail(Code::kInvalidArgument, "change.request_id: must be at most 64 octets");
  }
  if (!change.force_client_id().empty() && change.force_client_id() != request.client_id()) {
    return Fail(Code::kInvalidArgument, "change.force_client_id: must be the client_id once more");
  }
  auto asked = request;
  asked.mutable_change()->clear_expected_version();
  asked.mutable_change()->clear_request_id();
  return ChangeRequest{
      .client_id = request.client_id(),
      .expected_version = change.expected_version(),
      .request_id = change.request_id(),
      .digest = jws::Sha256Thumbprint(AsBytes(request.GetDescriptor()->full_name() + ":" + asked.SerializeAsString())),
      .forced = !change.force_client_id().empty()};
}

template <typename Request>
Status CheckKid(const Request& request) {
  return request.kid().empty() ? Fail(Code::kInvalidArgument, "kid: must not be empty; ListKeys tells it") : Status();
}

}  // namespace

KeyAdminService::KeyAdminService(const Policy& policy, const KeyRing& keys, KeyCustodian& custodian, Token& token,
                                 SigningQueue& queue)
    : policy_(policy), keys_(keys), custodian_(custodian), token_(token), queue_(queue), worker_([this] { Work(); }) {}

KeyAdminService::~KeyAdminService() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  filled_.notify_all();
  worker_.join();
}

template <typename Request, typename Response>
KeyAdminService::Reactor* KeyAdminService::Administer(Context* context, const Buffer* wire, Buffer* response,
                                                      Result<Response> (KeyAdminService::*act)(const Request&) const) {
  auto* reactor = context->DefaultReactor();
  Request request;
  const auto vet = [&]() -> Status {
    if (const auto caller = Authenticate(*context); !caller) {
      return std::unexpected(caller.error());
    }
    if (auto parsed = Parse(*wire, request); !parsed) {
      return parsed;
    }
    const auto client = policy_.FindClient(request.client_id());
    return client ? Status() : std::unexpected(client.error());
  };
  auto vetted = vet();
  if (vetted) {
    vetted = Enqueue([this, act, request = std::move(request), response, reactor] {
      const auto reply = (this->*act)(request);
      if (!reply) {
        Refuse(reactor, reply.error());
        return;
      }
      *response = Serialize(*reply);
      reactor->Finish(grpc::Status::OK);
    });
  }
  if (!vetted) {
    Refuse(reactor, vetted.error());
  }
  return reactor;
}

Result<v1::Key> KeyAdminService::Show(const std::string& client_id, const std::string& kid) const {
  const auto entry = keys_.Find(client_id, kid);
  if (!entry) {
    return std::unexpected(entry.error());
  }
  return ToProto(client_id, *entry, keys_.Snapshot()->at(client_id).version, keys_.Now());
}

Result<v1::GenerateKeyResponse> KeyAdminService::Generate(const v1::GenerateKeyRequest& request) const {
  const auto change = ChangeOf(request);
  const auto client = policy_.FindClient(request.client_id());
  if (!change || !client) {
    return std::unexpected(change ? client.error() : change.error());
  }
  const auto wanted = NewKeyOf(request, **client);
  if (!wanted) {
    return std::unexpected(wanted.error());
  }
  const auto kid = custodian_.Generate(*change, *wanted);
  auto key = kid ? Show(request.client_id(), *kid) : std::unexpected(kid.error());
  if (!key) {
    return std::unexpected(key.error());
  }
  spdlog::info("generated key {} for client {}", key->kid(), key->client_id());
  v1::GenerateKeyResponse reply;
  *reply.mutable_key() = std::move(*key);
  return reply;
}

Result<v1::RotateKeyResponse> KeyAdminService::Rotate(const v1::RotateKeyRequest& request) const {
  const auto change = ChangeOf(request);
  const auto client = policy_.FindClient(request.client_id());
  if (!change || !client) {
    return std::unexpected(change ? client.error() : change.error());
  }
  const auto wanted = NewKeyOf(request, **client);
  if (!wanted) {
    return std::unexpected(wanted.error());
  }
  std::optional<Time> sign_from;
  if (request.has_sign_from()) {
    const auto time = InstantOf(request.sign_from(), "sign_from");
    if (!time) {
      return std::unexpected(time.error());
    }
    sign_from = *time;
  }
  const auto before = keys_.Find(request.client_id(), "");
  const auto kid = custodian_.Rotate(*change, *wanted, sign_from);
  auto key = kid ? Show(request.client_id(), *kid) : std::unexpected(kid.error());
  if (!key) {
    return std::unexpected(key.error());
  }
  spdlog::info("client {} rotates to key {}, which signs from {}", key->client_id(), key->kid(),
               Rfc3339(Time(seconds(key->sign_from().seconds()))));
  v1::RotateKeyResponse reply;
  if (before && before->record.kid != *kid) {
    if (auto predecessor = Show(request.client_id(), before->record.kid); predecessor) {
      *reply.mutable_predecessor() = std::move(*predecessor);
    }
  }
  *reply.mutable_key() = std::move(*key);
  return reply;
}

Result<v1::ImportCertificateResponse> KeyAdminService::Import(const v1::ImportCertificateRequest& request) const {
  const auto change = ChangeOf(request);
  const auto has_kid = CheckKid(request);
  if (!change || !has_kid) {
    return std::unexpected(change ? has_kid.error() : change.error());
  }
  const auto kid = custodian_.ImportCertificate(*change, request.kid(), request.certificates());
  auto key = kid ? Show(request.client_id(), *kid) : std::unexpected(kid.error());
  if (!key) {
    return std::unexpected(key.error());
  }
  spdlog::info("client {}: key {} has certificate {}", key->client_id(), key->kid(), key->x5t_s256());
  v1::ImportCertificateResponse reply;
  *reply.mutable_key() = std::move(*key);
  return reply;
}

Result<v1::ScheduleKeyResponse> KeyAdminService::Schedule(const v1::ScheduleKeyRequest& request) const {
  const auto change = ChangeOf(request);
  const auto has_kid = CheckKid(request);
  const auto instants = InstantsOf(request);
  if (!change || !has_kid || !instants) {
    return std::unexpected(!change ? change.error() : !has_kid ? has_kid.error() : instants.error());
  }
  const auto kid = custodian_.Reschedule(*change, request.kid(), *instants);
  auto key = kid ? Show(request.client_id(), *kid) : std::unexpected(kid.error());
  if (!key) {
    return std::unexpected(key.error());
  }
  spdlog::info("client {}: key {} signs from {} until {}", key->client_id(), key->kid(),
               Rfc3339(Time(seconds(key->sign_from().seconds()))), Rfc3339(Time(seconds(key->sign_until().seconds()))));
  v1::ScheduleKeyResponse reply;
  *reply.mutable_key() = std::move(*key);
  return reply;
}

Result<v1::RevokeKeyResponse> KeyAdminService::Revoke(const v1::RevokeKeyRequest& request) const {
  const auto change = ChangeOf(request);
  const auto has_kid = CheckKid(request);
  if (!change || !has_kid) {
    return std::unexpected(change ? has_kid.error() : change.error());
  }
  const auto kid = custodian_.Revoke(*change, request.kid());
  auto key = kid ? Show(request.client_id(), *kid) : std::unexpected(kid.error());
  if (!key) {
    return std::unexpected(key.error());
  }
  spdlog::warn("client {}: key {} is revoked", key->client_id(), key->kid());
  v1::RevokeKeyResponse reply;
  *reply.mutable_key() = std::move(*key);
  return reply;
}

Result<v1::DestroyKeyResponse> KeyAdminService::Destroy(const v1::DestroyKeyRequest& request) const {
  const auto change = ChangeOf(request);
  const auto has_kid = CheckKid(request);
  if (!change || !has_kid) {
    return std::unexpected(change ? has_kid.error() : change.error());
  }
  const auto kid = custodian_.Destroy(*change, request.kid());
  if (!kid) {
    return std::unexpected(kid.error());
  }
  spdlog::warn("client {}: key {} is destroyed", request.client_id(), *kid);
  v1::DestroyKeyResponse reply;
  reply.set_version(keys_.Snapshot()->at(request.client_id()).version);
  return reply;
}

Result<v1::CreateCsrResponse> KeyAdminService::Csr(const v1::CreateCsrRequest& request) const {
  if (const auto has_kid = CheckKid(request); !has_kid) {
    return std::unexpected(has_kid.error());
  }
  const auto subject = request.subject().empty()
                           ? "CN=" + x509::EscapeValue(request.client_id().substr(0, kMaxCommonName))
                           : request.subject();
  auto csr = custodian_.CreateCsr(request.client_id(), request.kid(), subject,
                                  {request.subject_alt_names().begin(), request.subject_alt_names().end()});
  if (!csr) {
    return std::unexpected(csr.error());
  }
  v1::CreateCsrResponse reply;
  reply.set_csr_pem(std::move(*csr));
  return reply;
}

Result<v1::CreateEvidenceResponse> KeyAdminService::Evidence(const v1::CreateEvidenceRequest& request) const {
  if (const auto has_kid = CheckKid(request); !has_kid) {
    return std::unexpected(has_kid.error());
  }
  const auto entry = keys_.Find(request.client_id(), request.kid());
  if (!entry) {
    return std::unexpected(entry.error());
  }
  auto evidence =
      MakeEvidence(token_, request.client_id(), *entry, keys_.Snapshot()->at(request.client_id()).version, keys_.Now());
  if (!evidence) {
    return std::unexpected(evidence.error());
  }
  v1::CreateEvidenceResponse reply;
  reply.set_evidence(std::move(*evidence));
  return reply;
}

KeyAdminService::Reactor* KeyAdminService::GenerateKey(Context* context, const Buffer* request, Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Generate);
}

KeyAdminService::Reactor* KeyAdminService::RotateKey(Context* context, const Buffer* request, Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Rotate);
}

KeyAdminService::Reactor* KeyAdminService::ImportCertificate(Context* context, const Buffer* request,
                                                             Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Import);
}

KeyAdminService::Reactor* KeyAdminService::ScheduleKey(Context* context, const Buffer* request, Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Schedule);
}

KeyAdminService::Reactor* KeyAdminService::RevokeKey(Context* context, const Buffer* request, Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Revoke);
}

KeyAdminService::Reactor* KeyAdminService::DestroyKey(Context* context, const Buffer* request, Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Destroy);
}

KeyAdminService::Reactor* KeyAdminService::CreateCsr(Context* context, const Buffer* request, Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Csr);
}

KeyAdminService::Reactor* KeyAdminService::CreateEvidence(Context* context, const Buffer* request, Buffer* response) {
  return Administer(context, request, response, &KeyAdminService::Evidence);
}

KeyAdminService::Reactor* KeyAdminService::GetKey(Context* context, const Buffer* request, Buffer* response) {
  auto* reactor = context->DefaultReactor();
  const auto get = [&]() -> Result<v1::GetKeyResponse> {
    v1::GetKeyRequest parsed;
    if (const auto caller = Authenticate(*context); !caller) {
      return std::unexpected(caller.error());
    }
    if (const auto fit = Parse(*request, parsed); !fit) {
      return std::unexpected(fit.error());
    }
    if (const auto client = policy_.FindClient(parsed.client_id()); !client) {
      return std::unexpected(client.error());
    }
    auto key = Show(parsed.client_id(), parsed.kid());
    if (!key) {
      return std::unexpected(key.error());
    }
    v1::GetKeyResponse reply;
    *reply.mutable_key() = std::move(*key);
    return reply;
  };
  Answer(reactor, response, get());
  return reactor;
}

KeyAdminService::Reactor* KeyAdminService::ListKeys(Context* context, const Buffer* request, Buffer* response) {
  auto* reactor = context->DefaultReactor();
  const auto list = [&]() -> Result<v1::ListKeysResponse> {
    v1::ListKeysRequest parsed;
    if (const auto caller = Authenticate(*context); !caller) {
      return std::unexpected(caller.error());
    }
    if (const auto fit = Parse(*request, parsed); !fit) {
      return std::unexpected(fit.error());
    }
    v1::ListKeysResponse reply;
    const auto now = keys_.Now();
    for (const auto& [client_id, keys] : *keys_.Snapshot()) {
      (*reply.mutable_versions())[client_id] = keys.version;
      for (const auto& entry : keys.keys) {
        *reply.add_keys() = ToProto(client_id, entry, keys.version, now);
      }
    }
    return reply;
  };
  Answer(reactor, response, list());
  return reactor;
}

KeyAdminService::Reactor* KeyAdminService::ProveKey(Context* context, const Buffer* request, Buffer* response) {
  auto* reactor = context->DefaultReactor();
  if (const auto accepted = Prove(*context, *request, response, reactor); !accepted) {
    Refuse(reactor, accepted.error());
  }
  return reactor;
}

// Once the queue has accepted the job, the reactor is the job's to finish.
Status KeyAdminService::Prove(Context& context, const Buffer& wire, Buffer* response, Reactor* reactor) const {
  const auto caller = Authenticate(context);
  if (!caller) {
    return std::unexpected(caller.error());
  }
  v1::ProveKeyRequest request;
  if (auto parsed = Parse(wire, request); !parsed) {
    return parsed;
  }
  if (auto has_kid = CheckKid(request); !has_kid) {
    return has_kid;
  }
  auto approved =
      policy_.Approve(*caller, {.client_id = request.client_id(), .audience = request.audience(), .lifetime = {}});
  if (!approved) {
    return std::unexpected(approved.error());
  }
  const auto entry = keys_.Find(request.client_id(), request.kid());
  if (!entry) {
    return std::unexpected(entry.error());
  }
  const auto state = entry->record.StateAt(keys_.Now());
  if ((state != KeyState::kPublished && state != KeyState::kSigning) || !entry->key) {
    return Fail(Code::kFailedPrecondition, "kid: the key is not published now, or signs no more");
  }
  auto input = jws::SigningInput(entry->key->encoded_header, std::move(*approved).TakeJson());
  return queue_.Submit({.key = entry->key,
                        .input = std::move(input),
                        .deadline = std::chrono::steady_clock::now() + kLongestProof,
                        .done = [response, reactor](Result<Signed> result) {
                          if (!result) {
                            Refuse(reactor, result.error());
                            return;
                          }
                          v1::ProveKeyResponse reply;
                          reply.set_assertion(jws::Compact(std::move(result->input), result->signature));
                          reply.set_client_assertion_type(kClientAssertionType);
                          *response = Serialize(reply);
                          reactor->Finish(grpc::Status::OK);
                        }});
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
