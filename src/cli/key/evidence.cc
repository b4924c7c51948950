// assertionctl key evidence

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/flags.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct EvidenceOptions {
  std::string client_id;
  std::string kid;
  std::string out;
};

Result<v1::CreateEvidenceResponse> CreateEvidence(const EvidenceOptions& options, const std::string& server) {
  ASSIGN_OR_RETURN(auto connection, Connection::Open(server));
  ASSIGN_OR_RETURN(const auto kid, KidOrSigning(connection, options.client_id, options.kid));
  v1::CreateEvidenceRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(kid);
  return Ask(connection, &Connection::CreateEvidence, request);
}

int RunEvidence(const EvidenceOptions& options, const std::string& server) {
  const auto response = CreateEvidence(options, server);
  return response ? Write(options.out, response->evidence() + "\n") : ReportCall(response.error());
}

}  // namespace

Command AddKeyEvidence(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "evidence",
                   .summary = "Create a report on a key for an auditor: a JWS that the key itself signs",
                   .examples = "  assertionctl key evidence --client-id orders --out orders.evidence\n"
                               "  assertionctl key evidence verify orders.evidence",
                   .statuses = {{kFile, "a file cannot be written"}}},
                  RunEvidence);
  AddClientId(verb, options.client_id);
  AddDefaultedKid(verb, options.kid);
  AddOut(verb, options.out);
  return key.Under(*verb);
}

}  // namespace assertion::cli
