#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "assertion/v1/key_admin.pb.h"
#include "jws/thumbprint.h"
#include "keys/key_custodian.h"

// What requests of KeyAdminService say, checked: INVALID_ARGUMENT names the field.
namespace assertion::service {

inline constexpr std::size_t kMaxCommonName = 64;  // RFC 5280 appendix A.1, ub-common-name
inline constexpr std::size_t kMaxRequestId = 64;
inline constexpr std::chrono::seconds kDefaultValidity = std::chrono::days(365);
inline constexpr std::chrono::seconds kLongestValidity = std::chrono::days(3650);

Result<Time> InstantOf(const google::protobuf::Timestamp& timestamp, const char* field);
Result<Instants> InstantsOf(const v1::ScheduleKeyRequest& request);

template <typename Request>
Result<std::chrono::seconds> ValidityOf(const Request& request) {
  if (!request.has_certificate_validity()) {
    return kDefaultValidity;
  }
  const std::chrono::seconds validity(request.certificate_validity().seconds());
  if (request.certificate_validity().nanos() != 0 || validity < std::chrono::days(1) || validity > kLongestValidity) {
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
  const auto* algorithm = request.algorithm().empty() ? client.algorithm : FindAlgorithm(request.algorithm());
  if (algorithm == nullptr) {
    return Fail(Code::kInvalidArgument, "algorithm: must be one of: " + AlgorithmNames());
  }
  const int bits = request.key_bits() == 0 ? algorithm->default_key_bits() : request.key_bits();
  if (!algorithm->TakesKeyBits(bits)) {
    return Fail(Code::kInvalidArgument,
                "key_bits: must be " +
                    (algorithm->curve == nullptr ? "2048, 3072 or 4096" : std::to_string(algorithm->curve->bits)) +
                    " of a key for " + std::string(algorithm->name));
  }
  auto common_name = CommonNameOf(request);
  const auto validity = ValidityOf(request);
  if (!common_name || !validity) {
    return std::unexpected(common_name ? validity.error() : common_name.error());
  }
  return NewKeyRequest{
      .algorithm = algorithm, .bits = bits, .common_name = std::move(*common_name), .certificate_validity = *validity};
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

// Of a change of the one key that the request names.
template <typename Request>
Result<ChangeRequest> KeyChangeOf(const Request& request) {
  auto change = ChangeOf(request);
  const auto has_kid = CheckKid(request);
  return change && !has_kid ? std::unexpected(has_kid.error()) : std::move(change);
}

// Of AcceptLedger.
template <typename Request>
Result<ChangeRequest> LedgerChangeOf(const Request& request) {
  auto change = ChangeOf(request);
  if (change && !change->forced) {
    return Fail(Code::kInvalidArgument,
                "change.force_client_id: must be the client_id once more: keys that were revoked since this ledger was "
                "written may sign again");
  }
  return change;
}

// Of a change that makes a key.
template <typename Request>
Result<std::pair<ChangeRequest, NewKeyRequest>> NewKeyChangeOf(const Request& request,
                                                               const Result<const Client*>& client) {
  auto change = ChangeOf(request);
  if (!change || !client) {
    return std::unexpected(change ? client.error() : change.error());
  }
  ASSIGN_OR_RETURN(auto wanted, NewKeyOf(request, **client));
  return std::pair(std::move(*change), std::move(wanted));
}

}  // namespace assertion::service
