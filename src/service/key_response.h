#pragma once

#include "assertion/v1/key_admin.pb.h"
#include "keys/key_administration.h"
#include "keys/pending_changes.h"

// Converts answers of the key administration to messages of KeyAdminService.
namespace assertion::service {

v1::Key ToProto(const KeyStatus& key);
v1::AcceptedLedger ToProto(const AcceptedLedger& ledger);
// `seen`: see SummaryOf.
v1::PendingChange ToProto(const PendingChange& change, std::int64_t seen);
v1::ListKeysResponse ToProto(const KeyList& list);
v1::ExamineKeyResponse ToProto(const KeyAdministration::Examined& examined);

// Fills the fields that the response has.
template <typename Response>
Response ToResponse(const ChangeResult& result) {
  Response response;
  if constexpr (requires { response.mutable_key(); }) {
    if (result.key) {
      *response.mutable_key() = ToProto(*result.key);
    }
  }
  if constexpr (requires { response.mutable_predecessor(); }) {
    if (result.predecessor) {
      *response.mutable_predecessor() = ToProto(*result.predecessor);
    }
  }
  if constexpr (requires { response.mutable_ledger(); }) {
    if (result.ledger) {
      *response.mutable_ledger() = ToProto(*result.ledger);
    }
  }
  if constexpr (requires { response.set_version(result.version); }) {
    response.set_version(result.version);
  }
  return response;
}

}  // namespace assertion::service
