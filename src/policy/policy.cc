#include "policy/policy.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "assertion/bytes.h"
#include "assertion/foreign_text.h"
#include "assertion/reserved_claims.h"
#include "assertion/spiffe_id.h"
#include "jws/object_text.h"
#include "policy/service_account_token.h"

namespace assertion {
namespace {

constexpr std::size_t kMostShown = 80;  // octets of a caller's text

std::string Quoted(std::string_view text) { return assertion::Quoted(text, kMostShown); }

// RFC 9562 section 5.4: 122 random bits, the version and the variant.
std::string Uuid4(std::span<std::uint8_t, 16> octets) {
  octets[6] = (octets[6] & 0x0FU) | 0x40U;
  octets[8] = (octets[8] & 0x3FU) | 0x80U;
  auto text = Hex(octets);
  for (const std::size_t position : {8U, 13U, 18U, 23U}) {
    text.insert(position, 1, '-');
  }
  return text;
}

// Empty when the profile has none.
Result<std::string> NewJti(const Profile& profile, const Random& random) {
  if (profile.jti == JtiForm::kNone) {
    return std::string();
  }
  std::array<std::uint8_t, 32> octets{};
  if (!random(octets)) {
    return Fail(Code::kInternal, "the random number generator failed");
  }
  return profile.jti == JtiForm::kUuid ? Uuid4(std::span(octets).first<16>())
                                       : Hex(octets).substr(0, profile.jti_length);
}

// The index of the audience.
Result<std::size_t> Audience(const Client& client, std::string_view wanted) {
  if (wanted.empty()) {
    return 0U;
  }
  const auto found = std::ranges::find(client.audiences, wanted);
  if (found == client.audiences.end()) {
    return Fail(Code::kInvalidArgument, "audience: " + Quoted(wanted) + " is not configured for client " +
                                            Quoted(client.client_id) + "; it must match octet for octet");
  }
  return static_cast<std::size_t>(found - client.audiences.begin());
}

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

Result<std::chrono::seconds> Lifetime(const Client& client, std::optional<std::chrono::seconds> wanted) {
  const auto lifetime = wanted.value_or(client.default_lifetime);
  if (lifetime <= std::chrono::seconds::zero()) {
    return Fail(Code::kInvalidArgument, "lifetime: must be at least 1s");
  }
  if (lifetime > client.max_lifetime) {
    return Fail(Code::kInvalidArgument, "lifetime: " + std::to_string(lifetime.count()) +
                                            "s is above this client's maximum of " +
                                            std::to_string(client.max_lifetime.count()) + "s");
  }
  return lifetime;
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

std::unexpected<Error> TooManyOctets(const std::string& field) {
  return Fail(Code::kInvalidArgument,
              field + ": more than " + std::to_string(Policy::kMaxExtraClaimsOctets) + " octets as JSON");
}

// The members as JSON, without braces.
Result<std::string> ExtraClaims(const Client& client, const nlohmann::json& claims) {
  const std::string field = "extra_claims";
  for (const auto& [name, value] : claims.items()) {
    RETURN_IF_ERROR(AllowClaim(client, name, field));
  }
  auto text = claims.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > Policy::kMaxExtraClaimsOctets) {
    return TooManyOctets(field);
  }
  return text.substr(1, text.size() - 2);
}

// The members as the caller wrote them, without braces.
Result<std::string> ExtraClaims(const Client& client, std::string_view json) {
  const std::string field = "extra_claims_json";
  if (json.size() > Policy::kMaxExtraClaimsOctets) {
    return TooManyOctets(field);
  }
  const auto claims = jws::ParseObjectText(json);
  if (!claims) {
    return Fail(claims.error().code, field + ": " + claims.error().message);
  }
  for (const auto& member : claims->members) {
    RETURN_IF_ERROR(AllowClaim(client, member.name, field));
  }
  return std::string(claims->inside);
}

// The members as JSON, without braces; empty when the request has none.
Result<std::string> ExtraClaims(const Client& client, const AssertionRequest& request) {
  if (request.extra_claims != nullptr && !request.extra_claims_json.empty()) {
    return Fail(Code::kInvalidArgument, "extra_claims_json: must not be set beside extra_claims");
  }
  if (!request.extra_claims_json.empty()) {
    return ExtraClaims(client, request.extra_claims_json);
  }
  return request.extra_claims == nullptr ? std::string() : ExtraClaims(client, *request.extra_claims);
}

// `pattern` is an identity, or ends with "/*" and matches each SPIFFE ID that continues it. A SPIFFE ID has no empty
// and no dot segments, so it cannot leave the path that it begins with.
bool Matches(std::string_view pattern, std::string_view identity) {
  if (!pattern.ends_with("/*")) {
    return pattern == identity;
  }
  pattern.remove_suffix(1);
  return identity.size() > pattern.size() && identity.starts_with(pattern) && IsSpiffeId(identity);
}

bool IsListed(const Caller& caller, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns, [&](const auto& pattern) {
    return std::ranges::any_of(caller.identities(), [&](const auto& identity) { return Matches(pattern, identity); });
  });
}

std::unexpected<Error> Denied(const Caller& caller, std::string_view what) {
  return Fail(Code::kPermissionDenied, "you are known here as " + Quoted(caller.name()) + ", who may not " +
                                           std::string(what) + "; ask those who run assertiond to list you");
}

}  // namespace

Policy::Policy(std::vector<Client> clients, std::vector<Operator> operators, Clock clock, Random random,
               TwoPersonRule two_person_rule, std::optional<Rate> caller_rate, KeyLimits key_limits,
               std::optional<KubernetesSigner> kubernetes)
    : operators_(std::move(operators)),
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
  for (auto& client : clients) {
    std::ranges::for_each(client.callers, list);
    auto client_id = client.client_id;
    auto profile = std::make_shared<const Profile>(client.profile);
    auto beginnings = BeginningsOf(client);
    clients_.emplace(
        std::move(client_id),
        Entry{.client = std::move(client), .profile = std::move(profile), .beginnings = std::move(beginnings)});
  }
}

std::set<std::string> Policy::callers() const {
  std::set<std::string> all;
  for (const auto& one : operators_) {
    all.insert(one.caller);
  }
  for (const auto& [client_id, entry] : clients_) {
    all.insert(entry.client.callers.begin(), entry.client.callers.end());
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
  return entry ? Result<const Client*>(&(*entry)->client) : std::unexpected(entry.error());
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
    return listed_.contains(identity) ||
           std::ranges::any_of(listed_patterns_, [&](const auto& pattern) { return Matches(pattern, identity); });
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

Result<ApprovedClaims> Policy::Approve(const Caller& caller, const AssertionRequest& request) const {
  const auto entry = Find(request.client_id);
  const bool may_ask = entry && IsListed(caller, (*entry)->client.callers);
  const bool may_know = request.client_id.empty() || (!entry && Allow(caller, Role::kViewer));
  if (!may_ask && !may_know) {
    return Denied(caller, "ask for assertions of this client");
  }
  if (limit_ && may_ask) {
    RETURN_IF_ERROR(limit_->Take(caller.name(), std::chrono::steady_clock::now()));
  }
  return entry ? Claims(**entry, request) : std::unexpected(entry.error());
}

Result<ApprovedClaims> Policy::ApproveTrial(const AssertionRequest& request) const {
  if (kubernetes_ && request.client_id == kubernetes_->client_id) {
    return Fail(Code::kFailedPrecondition,
                "client_id: the keys of " + Quoted(request.client_id) + " sign service account tokens alone");
  }
  const auto entry = Find(request.client_id);
  return entry ? Claims(**entry, request) : std::unexpected(entry.error());
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
  approved.client_id_ = entry->client.client_id;
  approved.profile_ = entry->profile;
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
  const auto add = [&](std::string_view name, const std::vector<TemplatePiece>& pieces) {
    beginning.text.append(beginning.text.empty() ? "{\"" : ",\"").append(name).append("\":\"");
    for (const auto& piece : pieces) {
      const auto text = piece.word == TemplateWord::kClientId ? piece.text + client.client_id : piece.text;
      const auto quoted = nlohmann::json(text).dump();
      beginning.text.append(quoted, 1, quoted.size() - 2);
      if (piece.word && piece.word != TemplateWord::kClientId) {
        beginning.gaps.push_back({.at = beginning.text.size(), .word = *piece.word});
      }
    }
    beginning.text += '"';
  };
  // The configuration was refused if a template is wrong.
  add("iss", ParseTemplate(client.profile.issuer).value_or(std::vector<TemplatePiece>()));
  if (!subject.empty()) {
    add("sub", {{.text = std::string(subject), .word = {}}});
  } else if (!client.profile.subject.empty()) {
    add("sub", ParseTemplate(client.profile.subject).value_or(std::vector<TemplatePiece>()));
  }
  if (!client.audiences.empty()) {
    const auto aud = client.audience_as_list ? nlohmann::json::array({audience}) : nlohmann::json(audience);
    beginning.text += ",\"aud\":" + aud.dump();
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
  const auto& client = entry.client;
  const auto& profile = *entry.profile;
  ASSIGN_OR_RETURN(const auto audience, Audience(client, request.audience));
  RETURN_IF_ERROR(CheckSubject(client, request.subject));
  ASSIGN_OR_RETURN(const auto scope, Scope(client, request.scope));
  ASSIGN_OR_RETURN(const auto lifetime, Lifetime(client, request.lifetime));
  ASSIGN_OR_RETURN(const auto extra, ExtraClaims(client, request));
  ASSIGN_OR_RETURN(auto jti, NewJti(profile, random_));

  ApprovedClaims approved;
  approved.client_id_ = client.client_id;
  approved.profile_ = entry.profile;
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
  // Extra claims cannot repeat these, because ExtraClaims refuses reserved names, and the configuration refuses scope
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
