#include "service/key_response.h"

#include "assertion/key_record.h"
#include "assertion/profile.h"
#include "jws/thumbprint.h"
#include "keys/change_summary.h"

namespace assertion::service {
namespace {

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

v1::KeyOrigin ToProto(KeyOrigin origin) {
  return origin == KeyOrigin::kAdopted    ? v1::KEY_ORIGIN_ADOPTED
         : origin == KeyOrigin::kImported ? v1::KEY_ORIGIN_IMPORTED
                                          : v1::KEY_ORIGIN_GENERATED;
}

void SetTime(google::protobuf::Timestamp* timestamp, Time time) {
  timestamp->set_seconds(time.time_since_epoch().count());
}

}  // namespace

v1::Key ToProto(const KeyStatus& key) {
  const auto& record = key.entry.record;
  v1::Key proto;
  proto.set_hsm(key.hsm);
  proto.set_client_id(key.client_id);
  proto.set_kid(record.kid);
  proto.set_algorithm(std::string(record.algorithm->name));
  proto.set_cka_id(record.id.data(), record.id.size());
  proto.set_state(ToProto(record.StateAt(key.now)));
  SetTime(proto.mutable_publish_from(), record.publish_from);
  SetTime(proto.mutable_sign_from(), record.sign_from);
  SetTime(proto.mutable_sign_until(), record.sign_until);
  SetTime(proto.mutable_publish_until(), record.publish_until);
  proto.set_version(key.version);
  proto.set_origin(ToProto(record.origin));
  proto.set_waits_for(key.waits_for);
  for (const auto purpose : key.purposes) {
    proto.add_purposes(std::string(NameOf(kPurposes, purpose)));
  }
  if (const auto& signing = key.entry.key) {
    proto.set_key_bits(signing->bits());
    if (!signing->chain.empty()) {
      const auto& leaf = signing->chain.front();
      proto.set_x5t_s256(jws::Sha256Thumbprint(leaf.der));
      SetTime(proto.mutable_not_before(), leaf.not_before);
      SetTime(proto.mutable_not_after(), leaf.not_after);
    }
  }
  return proto;
}

v1::AcceptedLedger ToProto(const AcceptedLedger& ledger) {
  v1::AcceptedLedger proto;
  proto.set_found(ledger.found);
  proto.set_seen(ledger.seen);
  proto.set_version(ledger.version);
  return proto;
}

v1::PendingChange ToProto(const PendingChange& change, std::int64_t seen) {
  v1::PendingChange proto;
  proto.set_id(change.id);
  proto.set_digest(change.digest);
  proto.set_method(change.method);
  proto.set_client_id(change.client_id);
  proto.set_kid(change.kid);
  proto.set_requested_by(change.requested_by.empty() ? "" : change.requested_by.front());
  SetTime(proto.mutable_expires_at(), change.expires_at);
  proto.set_summary(change.change ? SummaryOf(*change.change, seen)
                                  : "a change that cannot be made: " + change.change.error().message);
  return proto;
}

v1::ListKeysResponse ToProto(const KeyList& list) {
  v1::ListKeysResponse proto;
  proto.mutable_versions()->insert(list.versions.begin(), list.versions.end());
  for (const auto& key : list.keys) {
    *proto.add_keys() = ToProto(key);
  }
  for (const auto& left : list.left) {
    auto& added = *proto.add_left_clients();
    added.set_hsm(left.hsm);
    added.set_client_id(Shown(left.client_id));  // from the ledger: no configuration has checked it
    added.set_keys(static_cast<std::int32_t>(left.keys));
  }
  proto.mutable_hsms()->Assign(list.hsms.begin(), list.hsms.end());
  for (const auto& ledger : list.rolled_back) {
    auto& added = *proto.add_rolled_back_ledgers();
    added.set_hsm(ledger.hsm);
    added.set_client_id(ledger.client_id);  // configured, and so checked
    added.set_found(ledger.versions.found);
    added.set_seen(ledger.versions.seen);
  }
  return proto;
}

v1::ExamineKeyResponse ToProto(const KeyAdministration::Examined& examined) {
  const auto& candidate = examined.candidate;
  v1::ExamineKeyResponse proto;
  proto.set_hsm(examined.hsm);
  proto.set_cka_id(candidate.id.data(), candidate.id.size());
  proto.set_label(Shown(candidate.label));
  proto.set_kid(candidate.kid);
  proto.set_algorithm(std::string(examined.algorithm->name));
  proto.set_key_bits(candidate.public_key ? KeyBits(*candidate.public_key) : 0);
  for (const auto& attribute : candidate.attributes) {
    auto& added = *proto.add_attributes();
    added.set_name(std::string(attribute.name));
    if (attribute.value) {
      added.set_value(*attribute.value);
    }
    if (attribute.required) {
      added.set_required(*attribute.required);
    }
    added.set_accepted(attribute.accepted);
    added.set_meaning(std::string(attribute.meaning));
  }
  for (const auto& obstacle : candidate.obstacles) {
    proto.add_obstacles(obstacle);
  }
  return proto;
}

}  // namespace assertion::service
