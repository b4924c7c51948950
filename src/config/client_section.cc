#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "assertion/authority.h"
#include "assertion/reserved_claims.h"
#include "config/sections.h"
#include "config/text.h"

namespace assertion {
namespace {

using std::chrono::seconds;

bool IsVschar(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; });
}

std::string TakeClientId(Fields& entry) {
  constexpr std::size_t kMostOctets = 255;
  const auto* id = entry.TakeString("client_id", true);
  if (id == nullptr) {
    return {};
  }
  if (id->empty() || id->size() > kMostOctets || !IsVschar(*id)) {
    entry.Refuse("client_id", "must be 1 to 255 printable ASCII characters (RFC 6749 appendix A.1)");
  } else if (id->starts_with(' ') || id->ends_with(' ')) {
    entry.Refuse("client_id", "must not begin or end with a blank");
  }
  if (std::ranges::find(kOwnKeyLabels, *id) != kOwnKeyLabels.end()) {
    entry.Refuse("client_id", "is the name of a key of assertiond's own");
  }
  return *id;
}

// A stand-in on this machine, as in a trial, has no TLS.
bool IsLoopbackUrl(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const auto after = url.starts_with(kScheme) ? url.substr(kScheme.size()) : std::string_view();
  const auto authority = ParseAuthority(after.substr(0, after.find_first_of("/?#")));
  return authority && authority->IsLoopback();
}

// Identity servers compare audiences octet for octet, so an invisible character is a typing error.
std::vector<std::string> TakeAudiences(Fields& entry, const Preset& preset, std::vector<std::string>& warnings) {
  std::vector<std::string> audiences;
  const auto* const list = entry.Take("audiences", false);
  if (preset.audience_form == AudienceForm::kNone) {
    if (list != nullptr) {
      entry.Refuse("audiences", "must be left out: profile \"" + preset.profile.name + "\" has no aud");
    }
    return audiences;
  }
  if (const auto* entries = list == nullptr ? nullptr : std::get_if<Node::Array>(&list->value);
      entries != nullptr && entries->empty()) {
    entry.Refuse("audiences", "must name at least one audience");
  }
  for (auto& audience : entry.TakeEntries("audiences", true)) {
    if (const auto invisible = FindInvisible(audience.text)) {
      entry.errors().Add(audience.line, audience.path,
                         "has " + *invisible + ": no audience has white space or a character that cannot be seen");
    } else if (preset.profile.name == kDefaultProfile && !audience.text.starts_with("https://") &&
               !audience.text.starts_with("urn:") && !IsLoopbackUrl(audience.text)) {
      warnings.push_back(audience.path + ": is neither an https URL nor a URN, as identity servers' audiences are");
    }
    audiences.push_back(std::move(audience.text));
  }
  return audiences;
}

void ReadAudienceForm(Fields& entry, const Preset& preset, Client& client) {
  const bool list = entry.TakeBool("audience_as_list", client.audience_as_list);
  if (list != client.audience_as_list && preset.audience_form != AudienceForm::kEither) {
    entry.Refuse("audience_as_list", "cannot differ from profile \"" + preset.profile.name + "\"");
  }
  client.audience_as_list = list;
}

void ReadLifetimes(Fields& entry, Client& client, std::vector<std::string>& warnings, const std::string& path) {
  const auto default_lifetime = entry.TakeDuration("default_lifetime");
  const auto max_lifetime = entry.TakeDuration("max_lifetime");
  client.default_lifetime =
      default_lifetime.value_or(std::min(client.default_lifetime, max_lifetime.value_or(seconds::max())));
  client.max_lifetime = max_lifetime.value_or(client.default_lifetime);
  if (client.default_lifetime > client.max_lifetime) {
    entry.Refuse("default_lifetime", "must not be longer than max_lifetime");
  }
  if (client.profile.backdate >= client.default_lifetime) {
    entry.Refuse("backdate", "must be shorter than default_lifetime, which is counted from iat");
  }
  client.clock_skew = entry.TakeDuration("clock_skew").value_or(seconds(0));
  if (client.clock_skew > seconds(0) && client.default_lifetime <= client.clock_skew) {
    warnings.push_back(path +
                       ": default_lifetime is not longer than clock_skew: the identity server will refuse every "
                       "assertion as expired");
  }
}

void ReadBinding(Fields& entry, Client& client, seconds refresh_interval, std::vector<std::string>& warnings,
                 const std::string& path) {
  if (const auto* binding = entry.TakeString("binding", false); binding != nullptr) {
    static constexpr std::array<std::string_view, 2> kBindings = {"certificate", "jwks"};
    if (*binding == "jwks") {
      client.binding = Binding::kJwks;
    } else if (*binding != "certificate") {
      entry.Refuse("binding", "must be \"certificate\" or \"jwks\"" + DidYouMean(*binding, kBindings));
    }
  }
  const auto lead = entry.TakeDuration("publish_lead");
  client.publish_lead = lead.value_or(client.publish_lead);
  if (lead && client.binding != Binding::kJwks) {
    entry.Refuse("publish_lead", "is for the binding \"jwks\" only");
  }
  // Another server may learn of a key one refresh later, and caches may keep its JWK Set for half of publish_lead.
  if (client.binding == Binding::kJwks && client.publish_lead < 2 * refresh_interval) {
    entry.Refuse("publish_lead", "must be at least twice refresh_interval: all servers must know the key by then");
  } else if (client.binding == Binding::kJwks && client.publish_lead < 4 * refresh_interval) {
    warnings.push_back(path +
                       ".publish_lead: is less than four times refresh_interval: one refresh that fails stops signing "
                       "until the next");
  }
  const auto kid = client.profile.kid;
  if (client.binding == Binding::kJwks && kid != KidForm::kThumbprint && kid != KidForm::kNone) {
    entry.Refuse("kid",
                 "must be \"thumbprint\" or \"none\" with the binding \"jwks\": the JWK Set names keys by their "
                 "thumbprints");
  }
  client.sign_with_expired_certificate =
      entry.TakeBool("sign_with_expired_certificate", client.sign_with_expired_certificate);
}

const Algorithm* TakeAlgorithm(Fields& entry, const Algorithm* otherwise) {
  const auto* name = entry.TakeString("algorithm", false);
  if (name == nullptr) {
    return otherwise;
  }
  const auto* algorithm = FindAlgorithm(*name);
  if (algorithm == nullptr) {
    entry.Refuse("algorithm", "must be one of: " + AlgorithmNames() + NearestAlgorithm(*name));
  }
  return algorithm;
}

// RFC 7515 section 4.1, RFC 7797 section 3.
bool IsHeaderName(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kNames = {"alg", "jku", "jwk",      "kid", "x5u",  "x5c",
                                                              "x5t", "typ", "x5t#S256", "cty", "crit", "b64"};
  return std::ranges::find(kNames, name) != kNames.end();
}

std::set<std::string, std::less<>> TakeExtraClaims(Fields& entry, const Profile& profile) {
  std::set<std::string, std::less<>> claims;
  for (auto& claim : entry.TakeStrings("extra_claims", false)) {
    if (const auto* const reserved = FindReservedClaim(claim); reserved != nullptr) {
      entry.Refuse("extra_claims", "'" + claim + "' " + std::string(reserved->why));
    } else if (IsHeaderName(claim)) {
      entry.Refuse("extra_claims", "'" + claim +
                                       "' is a member of the header, not a claim; typ, kid and header are fields of "
                                       "the client");
    } else if (!profile.scopes.empty() && IsClaim(claim, "scope")) {
      entry.Refuse("extra_claims",
                   "'" + claim + "' is set by the server; the field scopes lists what callers may name");
    } else if (const auto invisible = FindInvisible(claim)) {
      entry.Refuse("extra_claims", "'" + claim + "' has " + *invisible + ", which no claim's name has");
    }
    claims.insert(std::move(claim));
  }
  return claims;
}

std::vector<std::string> TakeCallers(Fields& entry, Identities& identities) {
  constexpr std::size_t kMostCallers = 1000;
  std::vector<std::string> callers;
  for (const auto& named : entry.TakeEntries("callers", true, kMostCallers)) {
    if (auto caller = identities.Parse(named.text); caller) {
      callers.push_back(*std::move(caller));
    } else {
      entry.errors().Add(named.line, named.path, caller.error().message);
    }
  }
  return callers;
}

Client ReadClient(Fields entry, const std::string& path, Identities& identities, Config& config) {
  Client client;
  client.client_id = TakeClientId(entry);
  ReadPurposes(entry, client);
  const Preset* preset = nullptr;  // null: nothing is signed for a party that has one
  if (IsForDpopAlone(client)) {
    ReadBackdate(entry, client.profile);
  } else {
    preset = &ReadProfile(entry, client);
    client.audiences = TakeAudiences(entry, *preset, config.warnings);
    ReadAudienceForm(entry, *preset, client);
    ReadLifetimes(entry, client, config.warnings, path);
  }
  ReadRequestObject(entry, client);
  ReadBinding(entry, client, config.refresh_interval, config.warnings, path);
  client.algorithm = TakeAlgorithm(entry, client.algorithm);
  client.imported_keys = entry.TakeBool("imported_keys", client.imported_keys);
  client.extra_claims = TakeExtraClaims(entry, client.profile);
  client.callers = TakeCallers(entry, identities);
  ReadTokens(entry, identities, client, config.warnings);
  entry.RefuseTheRest();
  if (client.algorithm != nullptr && preset != nullptr) {
    WarnOfRefusals(client, *preset, path, config.warnings);
  }
  return client;
}

}  // namespace

std::vector<Client> ReadClients(Fields& fields, Identities& identities, Config& config) {
  std::vector<Client> clients;
  const auto* list = fields.Take<Node::Array>("clients", true, "a list of clients");
  if (list != nullptr && list->empty() && fields.Take("kubernetes_signer", false) == nullptr) {
    fields.Refuse("clients", "must name at least one client");
  }
  clients.reserve(list == nullptr ? 1 : list->size() + 1);  // and that of kube-apiserver
  std::set<std::string> seen;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto path = "clients[" + std::to_string(i) + "]";
    auto client = ReadClient(Fields((*list)[i], path, fields.errors()), path, identities, config);
    if (!client.client_id.empty() && !seen.insert(client.client_id).second) {
      fields.errors().Add((*list)[i].line, path + ".client_id", "is the id of an earlier client");
    }
    clients.push_back(std::move(client));
  }
  if (list != nullptr) {
    CheckDpopClients(*list, clients, fields.errors());
  }
  return clients;
}

}  // namespace assertion
