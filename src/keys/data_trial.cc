#include "keys/data_trial.h"

#include <string>

#include "assertion/bytes.h"
#include "keys/machine_lock.h"

namespace assertion {
namespace {

std::unexpected<Error> KeepsNone(std::string detail) {
  return Fail(Code::kLedgerUnusable,
              "the token keeps no private data objects, so the ledger cannot be on it: set ledger to file:/PATH in the "
              "configuration",
              std::move(detail));
}

}  // namespace

Status TryData(Token& token, std::size_t octets, const Random& random) {
  ASSIGN_OR_RETURN(const auto id, RandomId(random));
  const auto label = Hex(id);
  const std::string value(octets, 'x');
  ASSIGN_OR_RETURN(const auto lock, MachineLock::TakeFor(token));
  RETURN_IF_ERROR(token.FindData(kTrialApplication, label));
  if (const auto stored = token.StoreData(kTrialApplication, label, value); !stored) {
    RETURN_IF_ERROR(token.Check());  // a token that is gone says nothing of data objects
    return KeepsNone(stored.error().detail);
  }
  ASSIGN_OR_RETURN(const auto found, token.FindData(kTrialApplication, label));
  bool whole = false;
  for (const auto& object : found) {
    whole = whole || (object.is_private && object.value == value);
    RETURN_IF_ERROR(token.DestroyObject(object.handle));
  }
  return whole ? Status()
               : KeepsNone("C_CreateObject answered CKR_OK for " + std::to_string(octets) +
                           " octets, and the object cannot be read back as it was stored");
}

}  // namespace assertion
