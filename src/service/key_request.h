#pragma once

#include <string>
#include <string_view>

#include "assertion/error.h"
#include "assertion/v1/key_admin.pb.h"
#include "keys/key_change.h"

// The requests of KeyAdminService as changes of keys. INVALID_ARGUMENT names the field.
namespace assertion::service {

Result<KeyChange> KeyChangeOf(const v1::GenerateKeyRequest& request);
Result<KeyChange> KeyChangeOf(const v1::RotateKeyRequest& request);
Result<KeyChange> KeyChangeOf(const v1::ImportCertificateRequest& request);
Result<KeyChange> KeyChangeOf(const v1::ScheduleKeyRequest& request);
Result<KeyChange> KeyChangeOf(const v1::RevokeKeyRequest& request);
Result<KeyChange> KeyChangeOf(const v1::DestroyKeyRequest& request);
Result<KeyChange> KeyChangeOf(const v1::AcceptLedgerRequest& request);
Result<KeyChange> KeyChangeOf(const v1::AdoptKeyRequest& request);

// Takes the private key out of the request and wipes it there. Its kid takes its place in the digest of the request.
Result<KeyImport> KeyImportOf(v1::ImportKeyRequest& request);

// The change that an earlier version of assertiond stored as the method's Protobuf request. FAILED_PRECONDITION when
// the method is unknown or the octets are not its request.
Result<KeyChange> ReadStoredRequest(std::string_view method, const std::string& request);

}  // namespace assertion::service
