#include "policy/policy.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "assertion/nearest_word.h"
#include "assertion/reserved_claims.h"
#include "policy/jti.h"
#include "policy/listed.h"
#include "policy/requested.h"
#include "policy/service_account_token.h"
#include "policy/token_scope.h"

namespace assertion {
namespace {

std::string Quoted(std::string_view text) { return QuotedRequest(text); }

// `pattern` is the subject itself, or has one "*" that stands for one or more of A-Z a-z 0-9 . _ + -.
bool MatchesSubject(std::string_view pattern, std::string_view subject) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) {
    return pattern == subject;
  }
  const auto before = pattern.substr(0, star);
  const auto after = pattern.substr(star + 1);
  if (subject.size() <= before.size() + after.size() || !subject.starts_with(before) || !subject.ends_with(after)) {
    return false;
  }
  const auto middle = subject.substr(before.size(), subject.size() - before.size() - after.size());
  return std::ranges::all_of(middle, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._+-").contains(c);
  });
}

Status CheckSubject(const Client& client, std::string_view wanted) {
  const auto& profile = client.profile;
  if (wanted.empty()) {
    return profile.subject.empty() && !profile.subjects.empty()
               ? Fail(Code::kInvalidArgument,
                      "subject: must be set: it has no default for client " + Quoted(client.client_id))
               : Status();
  }
  const bool allowed =
      wanted.size() <= Policy::kMaxSubjectOctets &&
      std::ranges::any_of(profile.subjects, [&](const auto& pattern) { return MatchesSubject(pattern, wanted); });
  return allowed ? Status()
                 : Fail(Code::kInvalidArgument, "subject: " + Quoted(wanted) +
                                                    " is not among the subjects configured for client " +
                                                    Quoted(client.client_id));
}

// The scopes of the claim, separated by blanks (RFC 6749 section 3.3); empty: no claim.
Result<std::string> Scope(const Client& client, std::string_view wanted) {
  const auto& scopes = client.profile.scopes;
  std::string text;
  if (wanted.empty()) {
    for (const auto& scope : scopes) {
      text += (text.empty() ? "" : " ") + scope;
    }
    return text;
  }
  if (wanted.size() > Policy::kMaxScopeOctets) {
    return Fail(Code::kInvalidArgument, "scope: more than " + std::to_string(Policy::kMaxScopeOctets) + " octets");
  }
  text = wanted;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(' ', at), text.size());
    const auto scope = std::string_view(text).substr(at, end - at);
    if (std::ranges::find(scopes, scope) == scopes.end()) {
      return Fail(
          Code::kInvalidArgument,
          "scope: " + Quoted(scope) + " is not among the scopes configured for client " + Quoted(client.client_id));
    }
    at = end + 1;
  }
  return text;
}

Status AllowClaim(const Client& client, std::string_view name, const std::string& field) {
  if (const auto* const reserved = FindReservedClaim(name); reserved != nullptr) {
    return Fail(Code::kInvalidArgument, field + ": " + Quoted(name) + " " + std::string(reserved->why));
  }
  if (!client.extra_claims.contains(name)) {
    return Fail(Code::kInvalidArgument,
                field + ": " + Quoted(name) + " is not among the claims allowed for this client");
  }
  return {};
}

// The form of what the client's key signs for the purpose; null: not one of the client's purposes.
std::shared_ptr<const Profile> ProfileFor(const Client& client, Purpose purpose) {
  if (!client.IsFor(purpose)) {
    return nullptr;
  }
  switch (purpose) {
    case Purpose::kClientAssertion:
      return std::make_shared<const Profile>(client.profile);
    case Purpose::kDpop:  // RFC 9449 section 4.2; the profile says nothing about proofs
      return std::make_shared<const Profile>(Profile{.typ = "dpop+jwt",
                                                     .kid = KidForm::kNone,
                                                     .header = {HeaderMember::kJwk},
                                                     .backdate = client.profile.backdate,
                                                     .purpose = Purpose::kDpop});
    case Purpose::kRequestObject:
      break;
  }
  auto profile = client.profile;
  profile.typ = "oauth-authz-req+jwt";  // RFC 9101 section 10.8
  profile.purpose = Purpose::kRequestObject;
  return std::make_shared<const Profile>(std::move(profile));
}

std::string PluralOf(Purpose purpose) {
  static constexpr std::array kPlurals = {"assertions", "DPoP proofs", "request objects"};
  return kPlurals.at(static_cast<std::size_t>(purpose));
}

Status CheckPurpose(const Client& client, Purpose purpose) {
  return client.IsFor(purpose)
             ? Status()
             : Fail(Code::kPermissionDenied, "client_id: client " + Quoted(client.client_id) + " is not for " +
                                                 PluralOf(purpose) + ": its configured purposes do not include \"" +
                                                 std::string(NameOf(kPurposes, purpose)) + '"');
}

std::unexpected<Error> NoSuchResource(const TokenSource& source, std::string_view resource) {
  const std::string none = "resource: the client's configuration names no resource";
  return Fail(
      Code::kPermissionDenied,
      source.resources.empty()
          ? none + "s: ask without " + Quoted(resource)
          : none + " " + Quoted(resource) +
                DidYouMean(resource, std::vector<std::string_view>(source.resources.begin(), source.resources.end())));
}

}  // namespace

Policy::Policy(Clients clients, std::vector<Operator> operators, Clock clock, Random random,
               TwoPersonRule two_person_rule, std::optional<Rate> caller_rate, KeyLimits key_limits,
               std::optional<KubernetesSigner> kubernetes)
    : all_(std::move(clients)),
      operators_(std::move(operators)),
      clock_(std::move(clock)),
      random_(std::move(random)),
      two_person_rule_(std::move(two_person_rule)),
      key_limits_(key_limits),
      kubernetes_(std::move(kubernetes)),
      limit_(caller_rate ? std::make_unique<RateLimit>(*caller_rate) : nullptr) {
  const auto list = [this](const std::string& pattern) {
    if (pattern.ends_with("/*")) {
      listed_patterns_.insert(pattern);
    } else {
      listed_.insert(pattern);
    }
  };
  for (const auto& entry : operators_) {
    list(entry.caller);
  }
  decltype(Entry::profiles) latest;  // most clients have the one before's: 10,000 share it
  for (const auto& client : all_) {
    std::ranges::for_each(client.callers, list);
    Entry entry{.client = &client, .profiles = {}, .beginnings = {}};
    for (const auto& purpose : kPurposes) {
      const auto at = static_cast<std::size_t>(purpose.value);
      const auto profile = ProfileFor(client, purpose.value);
      if (profile && (!latest.at(at) || *profile != *latest.at(at))) {
        latest.at(at) = profile;
      }
      entry.profiles.at(at) = profile ? latest.at(at) : nullptr;
    }
    entry.beginnings = BeginningsOf(client);
    clients_.emplace(client.client_id, std::move(entry));
  }
}

std::set<std::string> Policy::callers() const {
  std::set<std::string> all;
  for (const auto& one : operators_) {
    all.insert(one.caller);
  }
  for (const auto& [client_id, entry] : clients_) {
    all.insert(entry.client->callers.begin(), entry.client->callers.end());
  }
  return all;
}

Result<const Policy::Entry*> Policy::Find(std::string_view client_id) const {
  if (client_id.empty()) {
    return Fail(Code::kInvalidArgument, "client_id: must not be empty");
  }
  const auto found = clients_.find(client_id);
  if (found == clients_.end()) {
    return Fail(Code::kNotFound, "client_id: no client " + Quoted(client_id) + " is configured");
  }
  return &found->second;
}

Result<const Client*> Policy::FindClient(std::string_view client_id) const {
  const auto entry = Find(client_id);
  return entry ? Result<const Client*>((*entry)->client) : std::unexpected(entry.error());
}

Status Policy::Allow(const Caller& caller, Role role) const {
  static constexpr std::array kMay = {"look at keys: the role viewer is needed",
                                      "change keys: the role operator is needed",
                                      "approve changes: the role approver is needed"};
  const bool allowed = std::ranges::any_of(operators_, [&](const Operator& entry) {
    return IsListed(caller, {entry.caller}) &&
           (role == Role::kViewer ? !entry.roles.empty() : std::ranges::find(entry.roles, role) != entry.roles.end());
  });
  return allowed ? Status() : Denied(caller, kMay.at(static_cast<std::size_t>(role)));
}

Status Policy::Admit(const Caller& caller) const {
  const bool listed = std::ranges::any_of(caller.identities(), [this](const auto& identity) {
    return listed_.contains(identity) || std::ranges::any_of(listed_patterns_, [&](const auto& pattern) {
             return MatchesIdentity(pattern, identity);
           });
  });
  return listed ? Status() : Denied(caller, "ask for anything");
}

Result<const Client*> Policy::FindForReading(const Caller& caller, std::string_view client_id) const {
  const auto client = FindClient(client_id);
  if (Allow(caller, Role::kViewer) || (client && IsListed(caller, (*client)->callers))) {
    return client;
  }
  return client_id.empty() ? client : Denied(caller, "read what this client publishes");
}

// The client's entry, if the caller may have its key sign for the purpose.
Result<const Policy::Entry*> Policy::FindFor(const Caller& caller, std::string_view client_id, Purpose purpose) const {
  const auto entry = Find(client_id);
  const bool may_ask = entry && IsListed(caller, (*entry)->client->callers);
  const bool may_know = client_id.empty() || (!entry && Allow(caller, Role::kViewer));
  if (!may_ask && !may_know) {
    return Denied(caller, "ask for " + PluralOf(purpose) + " of this client");
  }
  if (limit_ && may_ask) {
    RETURN_IF_ERROR(limit_->Take(caller.name(), std::chrono::steady_clock::now()));
  }
  if (entry) {
    RETURN_IF_ERROR(CheckPurpose(*(*entry)->client, purpose));
  }
  return entry;
}

Result<ApprovedAccessToken> Policy::Approve(const Caller& caller, const AccessTokenRequest& request) const {
  if (const auto entry = Find(request.client_id); limit_ && entry && IsListed(caller, (*entry)->client->callers)) {
    RETURN_IF_ERROR(limit_->Take(caller.name(), std::chrono::steady_clock::now()));
  }
  return Recheck(caller, request);
}

Result<ApprovedAccessToken> Policy::Recheck(const Caller& caller, const AccessTokenRequest& request) const {
  const auto entry = Find(request.client_id);
  if (!entry && (request.client_id.empty() || Allow(caller, Role::kViewer))) {
    return std::unexpected(entry.error());
  }
  if (!entry || !IsListed(caller, (*entry)->client->callers)) {
    return Denied(caller, "ask for access tokens of this client");
  }
  const auto& source = (*entry)->client->tokens;
  if (!source) {
    return Fail(Code::kFailedPrecondition, "client_id: client " + Quoted(request.client_id) +
                                               " has no field tokens in the configuration in force: assertiond buys "
                                               "no access tokens for it");
  }
  ASSIGN_OR_RETURN(auto scope, AllowedTokenScope(caller, *source, request.scope));
  if (!request.resource.empty() && std::ranges::find(source->resources, request.resource) == source->resources.end()) {
    return NoSuchResource(*source, request.resource);
  }
  return ApprovedAccessToken{
      .scope = std::move(scope), .resource = std::string(request.resource), .dpop_client = source->dpop_client};
}

Result<ApprovedClaims> Policy::Approve(const Caller& caller, const AssertionRequest& request) const {
  ASSIGN_OR_RETURN(const auto* const entry, FindFor(caller, request.client_id, Purpose::kClientAssertion));
  return Claims(*entry, request);
}

Result<ApprovedClaims> Policy::Approve(const Caller& caller, const DpopProofRequest& request) const {
  ASSIGN_OR_RETURN(const auto* const entry, FindFor(caller, request.client_id, Purpose::kDpop));
  return Claims(*entry, request);
}

Result<ApprovedClaims> Policy::Approve(const Caller& caller, const RequestObjectRequest& request) const {
  ASSIGN_OR_RETURN(const auto* const entry, FindFor(caller, request.client_id, Purpose::kRequestObject));
  return Claims(*entry, request);
}

Result<ApprovedClaims> Policy::ApproveTrial(const AssertionRequest& request) const {
  if (kubernetes_ && request.client_id == kubernetes_->client_id) {
    return Fail(Code::kFailedPrecondition,
                "client_id: the keys of " + Quoted(request.client_id) + " sign service account tokens alone");
  }
  ASSIGN_OR_RETURN(const auto* const entry, Find(request.client_id));
  RETURN_IF_ERROR(CheckPurpose(*entry->client, Purpose::kClientAssertion));
  return Claims(*entry, request);
}

Result<ApprovedClaims> Policy::ApproveTrial(const DpopProofRequest& request) const {
  ASSIGN_OR_RETURN(const auto* const entry, Find(request.client_id));
  RETURN_IF_ERROR(CheckPurpose(*entry->client, Purpose::kDpop));
  return Claims(*entry, request);
}

void Policy::Beginning::Add(std::string_view name, const std::vector<TemplatePiece>& pieces, const Client& client) {
  text.append(text.empty() ? "{\"" : ",\"").append(name).append("\":\"");
  for (const auto& piece : pieces) {
    const auto plain = piece.word == TemplateWord::kClientId ? piece.text + client.client_id : piece.text;
    const auto quoted = nlohmann::json(plain).dump();
    text.append(quoted, 1, quoted.size() - 2);
    if (piece.word && piece.word != TemplateWord::kClientId) {
      gaps.push_back({.at = text.size(), .word = *piece.word});
    }
  }
  text += '"';
}

void Policy::Beginning::AddAudience(const Client& client, std::string_view audience) {
  const auto aud = client.audience_as_list ? nlohmann::json::array({audience}) : nlohmann::json(audience);
  text += ",\"aud\":" + aud.dump();
}

Status Policy::AdmitKubernetes(const Caller& caller) const {
  return kubernetes_ && IsListed(caller, {kubernetes_->caller}) ? Status()
                                                                : Denied(caller, "have service account tokens signed");
}

Result<ApprovedClaims> Policy::ApproveServiceAccountToken(const Caller& caller, std::string_view segment) const {
  RETURN_IF_ERROR(AdmitKubernetes(caller));
  ASSIGN_OR_RETURN(const auto* const entry, Find(kubernetes_->client_id));
  ASSIGN_OR_RETURN(auto token, ServiceAccountToken::Vet(*kubernetes_, segment, clock_()));
  ApprovedClaims approved;
  approved.client_id_ = entry->client->client_id;
  approved.profile_ = entry->ProfileFor(Purpose::kClientAssertion);
  approved.audience_ = std::move(token.audience);
  approved.subject_ = std::move(token.subject);
  approved.jti_ = std::move(token.jti);
  approved.issued_at_ = token.issued_at;
  approved.expires_at_ = token.expires_at;
  approved.json_ = std::move(token.json);
  return approved;
}

// `subject`: what the caller named; empty: nothing.
Policy::Beginning Policy::BeginningOf(const Client& client, std::string_view audience, std::string_view subject) {
  Beginning beginning;
  // The configuration was refused if a template is wrong.
  beginning.Add("iss", ParseTemplate(client.profile.issuer).value_or(std::vector<TemplatePiece>()), client);
  if (!subject.empty()) {
    beginning.Add("sub", {{.text = std::string(subject), .word = {}}}, client);
  } else if (!client.profile.subject.empty()) {
    beginning.Add("sub", ParseTemplate(client.profile.subject).value_or(std::vector<TemplatePiece>()), client);
  }
  if (!client.audiences.empty()) {
    beginning.AddAudience(client, audience);
  }
  return beginning;
}

std::vector<Policy::Beginning> Policy::BeginningsOf(const Client& client) {
  std::vector<Beginning> beginnings;
  beginnings.reserve(client.audiences.size());
  for (const auto& audience : client.audiences) {
    beginnings.push_back(BeginningOf(client, audience, {}));
  }
  if (beginnings.empty()) {
    beginnings.push_back(BeginningOf(client, {}, {}));
  }
  return beginnings;
}

Result<ApprovedClaims> Policy::Claims(const Entry& entry, const AssertionRequest& request) const {
  const auto& client = *entry.client;
  const auto& profile = *entry.ProfileFor(Purpose::kClientAssertion);
  ASSIGN_OR_RETURN(const auto audience, RequestedAudience(client, request.audience));
  RETURN_IF_ERROR(CheckSubject(client, request.subject));
  ASSIGN_OR_RETURN(const auto scope, Scope(client, request.scope));
  ASSIGN_OR_RETURN(const auto lifetime, RequestedLifetime(client, request.lifetime));
  ASSIGN_OR_RETURN(
      const auto extra,
      RequestedClaims(
          {.field = "extra_claims", .object = request.extra_claims, .json = request.extra_claims_json},
          [&](std::string_view name, const std::string& field) { return AllowClaim(client, name, field); }));
  ASSIGN_OR_RETURN(auto jti, NewJti(profile.jti, profile.jti_length, random_));

  ApprovedClaims approved;
  approved.client_id_ = client.client_id;
  approved.profile_ = entry.ProfileFor(Purpose::kClientAssertion);
  approved.audience_ = client.audiences.empty() ? std::string() : client.audiences[audience];
  approved.subject_ = request.subject;
  approved.scope_ = request.scope;
  approved.jti_ = std::move(jti);
  approved.issued_at_ = clock_() - profile.backdate;
  approved.expires_at_ = approved.issued_at_ + lifetime;
  std::optional<Beginning> with_subject;
  if (!request.subject.empty()) {
    with_subject = BeginningOf(client, approved.audience_, request.subject);
  }
  const auto& beginning = with_subject ? *with_subject : entry.beginnings[audience];
  approved.gaps_ = beginning.gaps;
  const auto issued_at = std::to_string(approved.issued_at_.time_since_epoch().count());
  // Extra claims cannot repeat these, because AllowClaim refuses reserved names, and the configuration refuses scope
  // among them where the profile has scopes. Of the callers' text only extra claims and a subject reach this point,
  // both vetted; a scope was compared with the configured ones. There is no nbf by default: an identity server whose
  // clock is slow would refuse it.
  approved.json_ = beginning.text + ",\"iat\":" + issued_at;
  if (profile.nbf) {
    approved.json_ += ",\"nbf\":" + issued_at;
  }
  approved.json_ += ",\"exp\":" + std::to_string(approved.expires_at_.time_since_epoch().count());
  if (!approved.jti_.empty()) {
    approved.json_.append(",\"jti\":\"").append(approved.jti_).append(1, '"');
  }
  if (!scope.empty()) {
    approved.json_ += ",\"scope\":" + nlohmann::json(scope).dump();
  }
  approved.json_.append(extra.empty() ? "" : ",").append(extra).append(1, '}');
  return approved;
}

}  // namespace assertion
