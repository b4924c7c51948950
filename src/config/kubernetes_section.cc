#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/sections.h"
#include "config/text.h"

namespace assertion {
namespace {

using std::chrono::seconds;

std::string TakeRingName(Fields& section, const std::vector<Client>& clients) {
  constexpr std::size_t kMostOctets = 255;
  const auto* const given = section.TakeString("client_id", false);
  auto name = given == nullptr ? std::string("kubernetes") : *given;
  const bool is_visible = std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~'; });
  if (name.empty() || name.size() > kMostOctets || !is_visible) {
    section.Refuse("client_id", "must be 1 to 255 visible ASCII characters");
  } else if (std::ranges::find(kOwnKeyLabels, name) != kOwnKeyLabels.end()) {
    section.Refuse("client_id", "is the name of a key of assertiond's own");
  } else if (std::ranges::find(clients, name, &Client::client_id) != clients.end()) {
    section.Refuse("client_id", "is the id of a client: keys that sign service account tokens sign nothing else");
  }
  return name;
}

std::string TakeCaller(Fields& section, Identities& identities) {
  const auto* const text = section.TakeString("caller", true);
  if (text == nullptr) {
    return {};
  }
  auto caller = identities.Parse(*text);
  if (!caller) {
    section.Refuse("caller", caller.error().message);
  } else if (!caller->starts_with("uid:")) {
    section.Refuse("caller", "must be the user of kube-apiserver, \"uid:0\" or \"user:NAME\": it calls over a socket");
  }
  return std::move(caller).value_or("");
}

// The issuer of a cluster is a URL, but kube-apiserver takes any text.
std::string TakeIssuer(Fields& section, std::vector<std::string>& warnings) {
  const auto* const issuer = section.TakeString("issuer", true);
  if (issuer == nullptr) {
    return {};
  }
  if (issuer->empty()) {
    section.Refuse("issuer", "must be kube-apiserver's --service-account-issuer");
  } else if (const auto invisible = FindInvisible(*issuer)) {
    section.Refuse("issuer", "has " + *invisible + ": no issuer has white space or a character that cannot be seen");
  } else if (!issuer->starts_with("https://")) {
    warnings.emplace_back("kubernetes_signer.issuer: is no https URL: nobody but the cluster can verify the tokens");
  }
  return *issuer;
}

const Algorithm* TakeAlgorithmOfTokens(Fields& section) {
  const auto* const name = section.TakeString("algorithm", false);
  const auto* const algorithm = name == nullptr ? kAlgorithms.data() : FindAlgorithm(*name);
  if (algorithm == nullptr || !KubernetesSigner::Takes(*algorithm)) {
    section.Refuse("algorithm",
                   "must be one of: " + AlgorithmNames(KubernetesSigner::Takes) + ": kube-apiserver takes no other");
    return kAlgorithms.data();
  }
  return algorithm;
}

seconds TakePublishLead(Fields& section, seconds refresh_interval) {
  const auto lead = section.TakeDuration("publish_lead").value_or(Client().publish_lead);
  if (lead < 2 * refresh_interval) {
    section.Refuse("publish_lead", "must be at least twice refresh_interval: all servers must know the key by then");
  }
  return lead;
}

}  // namespace

void ReadKubernetesSigner(Fields& fields, Identities& identities, Config& config, std::vector<Client>& clients) {
  auto section = fields.TakeObject("kubernetes_signer");
  if (!section) {
    return;
  }
  auto& kubernetes = config.kubernetes.emplace();
  auto& signer = kubernetes.signer;
  kubernetes.socket_path = TakeSocketPath(*section, "listen", true);
  kubernetes.socket_group = TakeGroup(*section, "listen_group");
  if (kubernetes.socket_path == config.socket_path) {
    section->Refuse("listen", "is the socket of the other callers");
  } else if (!kubernetes.socket_path.empty() && kubernetes.socket_path == config.token_socket_path) {
    section->Refuse("listen", "is the socket of token_listen");
  }
  signer.client_id = TakeRingName(*section, clients);
  signer.caller = TakeCaller(*section, identities);
  signer.issuer = TakeIssuer(*section, config.warnings);
  signer.max_lifetime = section->TakeDuration("max_lifetime").value_or(signer.max_lifetime);
  Client ring;  // without callers: no assertion is made with its keys
  ring.client_id = signer.client_id;
  ring.algorithm = TakeAlgorithmOfTokens(*section);
  ring.binding = Binding::kJwks;
  ring.publish_lead = TakePublishLead(*section, config.refresh_interval);
  ring.max_lifetime = signer.max_lifetime;
  ring.clock_skew = KubernetesSigner::kClockSkew;
  ring.sign_with_expired_certificate = true;  // nobody is shown the certificate
  section->RefuseTheRest();
  clients.push_back(std::move(ring));
}

}  // namespace assertion
