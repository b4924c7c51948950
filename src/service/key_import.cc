// KeyAdminService's import of a private key that another party made.

#include "keys/change_summary.h"
#include "service/key_admin_service.h"
#include "service/key_request.h"
#include "service/key_response.h"
#include "service/local_listener.h"

namespace assertion::service {

Result<KeyImport> KeyAdminService::TakeImport(UnaryCall& unary, v1::ImportKeyRequest& request,
                                              audit::Event& event) const {
  event.client_id = request.client_id();
  event.request_id = request.change().request_id();
  const auto policy = policy_.load();
  RETURN_IF_ERROR(policy->FindClient(request.client_id()));
  if (!LocalListener::UserOf(unary.context().peer())) {
    return Fail(Code::kFailedPrecondition,
                "private_key: is taken over the server's Unix domain socket alone: this one has travelled over a "
                "network, so have another made");
  }
  if (policy->two_person_rule().methods.contains(event.name)) {
    return Fail(Code::kFailedPrecondition,
                "two_person_rule.methods covers ImportKey, and a private key cannot wait for a second person: leave "
                "ImportKey out of the methods, or put the key on the token with the tools of the HSM's vendor and let "
                "AdoptKey wait");
  }
  ASSIGN_OR_RETURN(auto import, KeyImportOf(request));
  event.kid = request.private_key();
  event.summary = SummaryOf(import);
  return import;
}

Result<v1::ImportKeyResponse> KeyAdminService::Import(const Caller& /*caller*/, const KeyImport& import,
                                                      audit::Event& /*event*/) {
  ASSIGN_OR_RETURN(const auto result, administration_.Import(import));
  return ToResponse<v1::ImportKeyResponse>(result);
}

}  // namespace assertion::service
