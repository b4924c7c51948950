#include <algorithm>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "assertion/foreign_text.h"
#include "assertion/preset.h"
#include "assertion/token_source.h"
#include "config/document.h"
#include "config/sections.h"
#include "config/text.h"
#include "oauth/http.h"
#include "oauth/metadata.h"

namespace assertion {
namespace {

constexpr std::string_view kResource = "resource";
constexpr std::string_view kAudience = "audience";

// scope-token of RFC 6749 section 3.3.
bool IsScope(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
}

void TakeScopeCallers(Fields& fields, Identities& identities, const Client& client, TokenSource::Scope& scope) {
  constexpr std::size_t kMostCallers = 1000;
  const auto entries = fields.TakeEntries("callers", true, kMostCallers);
  if (const auto* list = fields.Take("callers", false);
      entries.empty() && list != nullptr && std::holds_alternative<Node::Array>(list->value)) {
    fields.Refuse("callers", "must name at least one caller; leave the scope out if nobody may have it");
  }
  for (const auto& named : entries) {
    const auto caller = identities.Parse(named.text);
    if (!caller) {
      fields.errors().Add(named.line, named.path, caller.error().message);
    } else if (std::ranges::find(client.callers, *caller) == client.callers.end()) {
      fields.errors().Add(named.line, named.path, "is not one of the client's callers");
    } else {
      scope.callers.push_back(*caller);
    }
  }
}

void TakeScopes(Fields& tokens, Identities& identities, const Client& client, TokenSource& source) {
  const auto* list = tokens.Take<Node::Array>("scopes", false, "a list of scopes");
  if (list != nullptr && list->size() > Fields::kMostStrings) {
    tokens.Refuse("scopes", "has more than " + std::to_string(Fields::kMostStrings) + " entries");
    return;
  }
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto& node = (*list)[i];
    const auto path = tokens.PathOf("scopes") + "[" + std::to_string(i) + "]";
    TokenSource::Scope scope;
    if (const auto* name = std::get_if<std::string>(&node.value); name != nullptr) {
      scope.name = *name;
    } else {
      Fields fields(node, path, tokens.errors());
      const auto* named = fields.TakeString("scope", true);
      scope.name = named == nullptr ? "unreadable" : *named;
      TakeScopeCallers(fields, identities, client, scope);
      fields.RefuseTheRest();
    }
    if (!IsScope(scope.name)) {
      tokens.errors().Add(node.line, path, "must be one scope: visible ASCII without \" and \\ (RFC 6749 section 3.3)");
    } else if (std::ranges::find(source.scopes, scope.name, &TokenSource::Scope::name) != source.scopes.end()) {
      tokens.errors().Add(node.line, path, "is listed twice");
    }
    source.scopes.push_back(std::move(scope));
  }
}

void TakeEndpoint(Fields& tokens, TokenSource& source) {
  const auto* issuer = tokens.TakeString("issuer", false);
  const auto* endpoint = tokens.TakeString("token_endpoint", false);
  if (tokens.Take("issuer", false) == nullptr && tokens.Take("token_endpoint", false) == nullptr) {
    tokens.Refuse("token_endpoint", "is missing: give token_endpoint or issuer");
  }
  if (issuer != nullptr) {
    source.issuer = *issuer;
    if (!oauth::ParseIssuer("it", *issuer)) {
      tokens.Refuse("issuer",
                    "must be https://host[:port][/path] without query and fragment, or http:// to a loopback address");
    }
    if (endpoint != nullptr) {
      tokens.Refuse("issuer", "cannot be combined with token_endpoint: give one of the two");
    }
  }
  if (endpoint == nullptr) {
    return;
  }
  source.token_endpoint = *endpoint;
  if (!oauth::ParseUrl("it", *endpoint)) {
    tokens.Refuse("token_endpoint", "must be https://host[:port]/path, or http:// to a loopback address");
  }
}

// The audience that the field names; default: the endpoint or issuer if it is one of the client's, else the client's
// first.
void TakeAudience(Fields& tokens, const Client& client, TokenSource& source, std::vector<std::string>& warnings) {
  const auto has = [&](const std::string& audience) {
    return std::ranges::find(client.audiences, audience) != client.audiences.end();
  };
  if (const auto* audience = tokens.TakeString("audience", false); audience != nullptr) {
    source.audience = *audience;
    if (!has(*audience)) {
      tokens.Refuse("audience", "must be one of the client's audiences, octet for octet");
    }
  } else if (const auto& server = source.issuer.empty() ? source.token_endpoint : source.issuer; has(server)) {
    source.audience = server;
  } else if (!client.audiences.empty()) {
    source.audience = client.audiences.front();
    if (client.audiences.size() > 1) {
      warnings.push_back(tokens.PathOf("audience") + ": assertions for " + server +
                         " have the client's first audience, " + source.audience +
                         ", because none of its audiences is that URL: name the right one");
    }
  }
}

// Default: as the profile's party wants it.
void TakeResourceParameter(Fields& tokens, const Client& client, TokenSource& source) {
  const auto* const preset = FindPreset(client.profile.name);
  source.resource_parameter = preset == nullptr ? kResource : preset->resource_parameter;
  if (const auto* name = tokens.TakeString("resource_parameter", false); name != nullptr) {
    source.resource_parameter = *name;
    if (*name != kResource && *name != kAudience) {
      tokens.Refuse("resource_parameter", "must be \"resource\" (RFC 8707) or \"audience\"");
    }
  }
}

// An audience may be any name that the identity server knows; a resource is a URI.
void TakeResources(Fields& tokens, TokenSource& source) {
  const bool any_name = source.resource_parameter == kAudience;
  for (auto& resource : tokens.TakeEntries("resources", false)) {
    const bool absolute = resource.text.find(':') != std::string::npos && resource.text.find('#') == std::string::npos;
    const bool visible = std::ranges::all_of(resource.text, [](char c) { return c > ' ' && c <= '~'; });
    if (!visible || (any_name ? resource.text.empty() : !absolute)) {
      tokens.errors().Add(resource.line, resource.path,
                          any_name ? "must be visible ASCII without spaces, and not empty"
                                   : "must be an absolute URI without fragment (RFC 8707 section 2)");
    }
    source.resources.push_back(std::move(resource.text));
  }
}

void CheckClient(Fields& entry, const Client& client) {
  if (!client.IsFor(Purpose::kClientAssertion)) {
    entry.Refuse("tokens", "needs the purpose \"client_assertion\": a token is bought with an assertion");
  } else if (client.IsFor(Purpose::kDpop) && client.tokens->dpop_client.empty()) {
    entry.Refuse("tokens",
                 "needs the field dpop_client beside the purpose \"dpop\": the client's own id binds the tokens to its "
                 "key; for the key of another client, or bearer tokens, leave the purpose to another client");
  } else if (client.profile.grant == Grant::kBearerToken) {
    entry.Refuse("tokens", "cannot be combined with a profile whose assertion is the bearer token itself");
  } else if (client.profile.subject.empty() && !client.profile.subjects.empty()) {
    entry.Refuse("tokens", "needs the client's field subject: a purchase has no caller who names one");
  }
}

}  // namespace

void CheckDpopClients(const Node::Array& entries, std::span<const Client> clients, Errors& errors) {
  constexpr std::size_t kMostOctets = 80;
  std::set<std::string_view> all;
  std::vector<std::string_view> for_proofs;
  for (const auto& client : clients) {
    all.insert(client.client_id);
    if (client.IsFor(Purpose::kDpop)) {
      for_proofs.push_back(client.client_id);
    }
  }
  std::ranges::sort(for_proofs);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const auto& tokens = clients[i].tokens;
    if (!tokens || tokens->dpop_client.empty() ||
        std::ranges::binary_search(for_proofs, std::string_view(tokens->dpop_client))) {
      continue;
    }
    const auto& named = tokens->dpop_client;
    errors.Add(LineOf(entries[i], "tokens.dpop_client"), "clients[" + std::to_string(i) + "].tokens.dpop_client",
               all.contains(named)
                   ? "names a client without the purpose \"dpop\": add it to the client's purposes"
                   : Quoted(named, kMostOctets) + " is no client_id here" + DidYouMean(named, for_proofs));
  }
}

void ReadTokens(Fields& entry, Identities& identities, Client& client, std::vector<std::string>& warnings) {
  auto tokens = entry.TakeObject("tokens");
  if (!tokens) {
    return;
  }
  auto source = std::make_shared<TokenSource>();
  TakeEndpoint(*tokens, *source);
  source->ca_file = tokens->TakePath("ca_file", false);
  TakeAudience(*tokens, client, *source, warnings);
  TakeScopes(*tokens, identities, client, *source);
  TakeResourceParameter(*tokens, client, *source);
  TakeResources(*tokens, *source);
  if (const auto* dpop_client = tokens->TakeString("dpop_client", false); dpop_client != nullptr) {
    source->dpop_client = *dpop_client;
    if (dpop_client->empty()) {
      tokens->Refuse("dpop_client", "must name a client with the purpose \"dpop\"");
    }
  }
  tokens->RefuseTheRest();
  client.tokens = std::move(source);
  CheckClient(entry, client);
}

}  // namespace assertion
