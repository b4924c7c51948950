#include "service/translated_call.h"

#include "assertion/utf8.h"

namespace assertion::service {

Status TranslatedCall::Admit(const Policy& policy, AuditedCall& call) const {
  if (!caller) {
    return std::unexpected(caller.error());
  }
  call.event().caller = caller->name();
  RETURN_IF_ERROR(policy.Admit(*caller));
  if (IsUtf8(client_id)) {
    call.event().client_id = policy.FindClient(client_id) ? client_id : client_id.substr(0, kMostOfUnknownClient);
  }
  return {};
}

}  // namespace assertion::service
