#include "service/key_request.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "assertion/foreign_text.h"
#include "assertion/key_record.h"
#include "assertion/secret.h"
#include "jws/thumbprint.h"
#include "x509/private_key.h"

namespace assertion::service {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxRequestId = 64;
constexpr std::size_t kMaxInstantsAsGiven = 200;

Result<Time> TimeOf(const google::protobuf::Timestamp& timestamp, const char* field) {
  const Time time{seconds(timestamp.seconds())};
  if (timestamp.nanos() != 0 || timestamp.seconds() < 0 || time > kNever) {
    return Fail(Code::kInvalidArgument,
                std::string(field) + ": must be whole seconds from 1970-01-01T00:00:00Z to " + Rfc3339(kNever));
  }
  return time;
}

Status ReadTime(bool given, const google::protobuf::Timestamp& timestamp, const char* field,
                std::optional<Time>& time) {
  if (given) {
    ASSIGN_OR_RETURN(time, TimeOf(timestamp, field));
  }
  return {};
}

template <typename Request>
void ClearInstants(Request& request) {
  if constexpr (requires { request.clear_sign_from(); }) {
    request.clear_sign_from();
  }
  if constexpr (requires { request.clear_publish_from(); }) {
    request.clear_publish_from();
    request.clear_sign_until();
    request.clear_publish_until();
  }
}

// A repetition of a request may have another expected version, and other instants in the same words; the digest covers
// all other fields.
template <typename Request>
std::string RepetitionDigest(Request request) {
  if (!request.change().instants_as_given().empty()) {
    ClearInstants(request);
  }
  request.mutable_change()->clear_expected_version();
  request.mutable_change()->clear_request_id();
  return jws::Sha256Thumbprint(AsBytes(request.GetDescriptor()->full_name() + ":" + request.SerializeAsString()));
}

template <typename Request>
Result<ChangeRequest> ChangeRequestOf(const Request& request) {
  const auto& change = request.change();
  if (!change.has_expected_version()) {
    return Fail(Code::kInvalidArgument, "change.expected_version: must be given; ListKeys tells it");
  }
  if (change.request_id().size() > kMaxRequestId) {
    return Fail(Code::kInvalidArgument, "change.request_id: must be at most 64 octets");
  }
  if (!std::ranges::all_of(change.request_id(), [](char c) { return c > ' ' && c <= '~'; })) {
    return Fail(Code::kInvalidArgument,
                "change.request_id: must be visible ASCII, not " + Quoted(change.request_id(), kMaxRequestId));
  }
  if (change.instants_as_given().size() > kMaxInstantsAsGiven) {
    return Fail(Code::kInvalidArgument, "change.instants_as_given: must be at most 200 octets");
  }
  if (!change.force_client_id().empty() && change.force_client_id() != request.client_id()) {
    return Fail(Code::kInvalidArgument, "change.force_client_id: must be the client_id once more");
  }
  return ChangeRequest{.client_id = request.client_id(),
                       .expected_version = change.expected_version(),
                       .request_id = change.request_id(),
                       .digest = RepetitionDigest(request),
                       .forced = !change.force_client_id().empty()};
}

// The range of the validity is KeyAdministration's to check.
template <typename Request>
Result<KeyWishes> WishesOf(const Request& request) {
  KeyWishes wishes{.algorithm = request.algorithm(),
                   .bits = 0,
                   .common_name = request.common_name(),
                   .certificate_validity = {},
                   .hsm = request.hsm()};
  if constexpr (requires { request.key_bits(); }) {
    wishes.bits = request.key_bits();
  }
  if (request.has_certificate_validity()) {
    if (request.certificate_validity().nanos() != 0) {
      return Fail(Code::kInvalidArgument, "certificate_validity: must be whole seconds from 1 day to 3650 days");
    }
    wishes.certificate_validity = seconds(request.certificate_validity().seconds());
  }
  return wishes;
}

Result<Instants> InstantsOf(const v1::ScheduleKeyRequest& request) {
  Instants instants;
  RETURN_IF_ERROR(ReadTime(request.has_publish_from(), request.publish_from(), "publish_from", instants.publish_from));
  RETURN_IF_ERROR(ReadTime(request.has_sign_from(), request.sign_from(), "sign_from", instants.sign_from));
  RETURN_IF_ERROR(ReadTime(request.has_sign_until(), request.sign_until(), "sign_until", instants.sign_until));
  RETURN_IF_ERROR(
      ReadTime(request.has_publish_until(), request.publish_until(), "publish_until", instants.publish_until));
  return instants;
}

template <typename Request>
Result<KeyChange> ParseStored(const std::string& octets) {
  Request request;
  if (!request.ParseFromString(octets)) {
    return Fail(Code::kFailedPrecondition, "digest: is not that of what is kept on the token");
  }
  return KeyChangeOf(request);
}

}  // namespace

Result<KeyChange> KeyChangeOf(const v1::GenerateKeyRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  ASSIGN_OR_RETURN(auto wishes, WishesOf(request));
  return KeyGeneration{.change = std::move(change), .key = std::move(wishes)};
}

Result<KeyChange> KeyChangeOf(const v1::RotateKeyRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  ASSIGN_OR_RETURN(auto wishes, WishesOf(request));
  KeyRotation rotation{.change = std::move(change), .key = std::move(wishes), .sign_from = {}};
  RETURN_IF_ERROR(ReadTime(request.has_sign_from(), request.sign_from(), "sign_from", rotation.sign_from));
  return rotation;
}

Result<KeyChange> KeyChangeOf(const v1::ImportCertificateRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  return CertificateImport{.change = std::move(change), .kid = request.kid(), .certificates = request.certificates()};
}

Result<KeyChange> KeyChangeOf(const v1::ScheduleKeyRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  ASSIGN_OR_RETURN(const auto instants, InstantsOf(request));
  return KeyRescheduling{.change = std::move(change), .kid = request.kid(), .instants = instants};
}

Result<KeyChange> KeyChangeOf(const v1::RevokeKeyRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  return KeyRevocation{.change = std::move(change), .kid = request.kid()};
}

Result<KeyChange> KeyChangeOf(const v1::DestroyKeyRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  return KeyDestruction{.change = std::move(change), .kid = request.kid()};
}

Result<KeyChange> KeyChangeOf(const v1::AcceptLedgerRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  return LedgerAcceptance{.change = std::move(change), .hsm = request.hsm()};
}

Result<KeyChange> KeyChangeOf(const v1::AdoptKeyRequest& request) {
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  ASSIGN_OR_RETURN(auto wishes, WishesOf(request));
  return KeyAdoption{.change = std::move(change),
                     .kid = request.kid(),
                     .cka_id = Bytes(request.cka_id().begin(), request.cka_id().end()),
                     .key = std::move(wishes),
                     .certificates = request.certificates()};
}

Result<KeyImport> KeyImportOf(v1::ImportKeyRequest& request) {
  auto& given = *request.mutable_private_key();
  Secret der(AsBytes(given));
  WipeOctets(given);
  ASSIGN_OR_RETURN(auto private_key, x509::ParsePkcs8(std::move(der)));
  given = jws::JwkThumbprint(private_key.public_key);
  ASSIGN_OR_RETURN(auto change, ChangeRequestOf(request));
  ASSIGN_OR_RETURN(auto wishes, WishesOf(request));
  return KeyImport{.change = std::move(change), .key = std::move(wishes), .private_key = std::move(private_key)};
}

Result<KeyChange> ReadStoredRequest(std::string_view method, const std::string& request) {
  if (method == "GenerateKey") {
    return ParseStored<v1::GenerateKeyRequest>(request);
  }
  if (method == "RotateKey") {
    return ParseStored<v1::RotateKeyRequest>(request);
  }
  if (method == "ImportCertificate") {
    return ParseStored<v1::ImportCertificateRequest>(request);
  }
  if (method == "ScheduleKey") {
    return ParseStored<v1::ScheduleKeyRequest>(request);
  }
  if (method == "RevokeKey") {
    return ParseStored<v1::RevokeKeyRequest>(request);
  }
  if (method == "DestroyKey") {
    return ParseStored<v1::DestroyKeyRequest>(request);
  }
  if (method == "AcceptLedger") {
    return ParseStored<v1::AcceptLedgerRequest>(request);
  }
  return Fail(Code::kFailedPrecondition, "id: this server does not know what the change is");
}

}  // namespace assertion::service
