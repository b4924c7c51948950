#include "config/config.h"

#include <grp.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "assertion/reserved_claims.h"
#include "config/document.h"
#include "config/fields.h"
#include "config/identity.h"
#include "config/regular_file.h"
#include "config/text.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxFileSize = std::size_t{8} << 20U;
constexpr std::size_t kMostCallers = 1000;
constexpr std::size_t kMostOperators = 1000;
constexpr std::size_t kMostWarnings = 20;
constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un
constexpr seconds kLongestLifetime = std::chrono::hours(24);
constexpr seconds kLargestSkew = std::chrono::hours(1);
constexpr seconds kLongestLead = std::chrono::hours(24 * 7);
constexpr seconds kLongestRefresh = std::chrono::hours(1);
constexpr seconds kLongestCrlGrace = std::chrono::days(7);

bool IsVschar(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; });
}

void ReadLifetimes(Fields& fields, Client& client, std::vector<std::string>& warnings, const std::string& path) {
  const auto default_lifetime = fields.TakeDuration("default_lifetime", seconds(1), kLongestLifetime);
  const auto max_lifetime = fields.TakeDuration("max_lifetime", seconds(1), kLongestLifetime);
  client.default_lifetime =
      default_lifetime.value_or(std::min(client.default_lifetime, max_lifetime.value_or(seconds::max())));
  client.max_lifetime = max_lifetime.value_or(client.default_lifetime);
  if (client.default_lifetime > client.max_lifetime) {
    fields.Refuse("default_lifetime", "must not be longer than max_lifetime");
  }
  client.clock_skew = fields.TakeDuration("clock_skew", seconds(0), kLargestSkew).value_or(seconds(0));
  if (client.clock_skew > seconds(0) && client.default_lifetime <= client.clock_skew) {
    warnings.push_back(path +
                       ": default_lifetime is not longer than clock_skew: the identity server will refuse every "
                       "assertion as expired");
  }
}

void ReadBinding(Fields& fields, Client& client, std::chrono::seconds refresh_interval) {
  if (const auto* binding = fields.Take<std::string>("binding", false, "a string"); binding != nullptr) {
    if (*binding == "jwks") {
      client.binding = Binding::kJwks;
    } else if (*binding != "certificate") {
      fields.Refuse("binding", "must be \"certificate\" or \"jwks\"");
    }
  }
  const auto lead = fields.TakeDuration("publish_lead", seconds(1), kLongestLead);
  client.publish_lead = lead.value_or(client.publish_lead);
  if (lead && client.binding != Binding::kJwks) {
    fields.Refuse("publish_lead", "is for the binding \"jwks\" only");
  }
  // Another server may learn of a key a refresh later, and its JWK Set be kept for half of publish_lead.
  if (client.binding == Binding::kJwks && client.publish_lead < 2 * refresh_interval) {
    fields.Refuse("publish_lead", "must be at least twice refresh_interval: all servers must know the key by then");
  }
  if (const auto* expired = fields.Take<bool>("sign_with_expired_certificate", false, "true or false");
      expired != nullptr) {
    client.sign_with_expired_certificate = *expired;
  }
}

std::vector<std::string> ReadCallers(Fields& fields, Identities& identities, Errors& errors) {
  std::vector<std::string> callers;
  for (const auto& entry : fields.TakeEntries("callers", true, kMostCallers)) {
    if (auto caller = identities.Parse(entry.text); caller) {
      callers.push_back(*std::move(caller));
    } else {
      errors.Add(entry.line, entry.path, caller.error().message);
    }
  }
  return callers;
}

std::optional<Role> ParseRole(std::string_view name) {
  return name == "viewer"     ? std::optional(Role::kViewer)
         : name == "operator" ? std::optional(Role::kOperator)
         : name == "approver" ? std::optional(Role::kApprover)
                              : std::nullopt;
}

std::vector<Operator> ReadOperators(Fields& fields, Identities& identities, Errors& errors) {
  static constexpr std::array<std::string_view, 3> kRoles = {"viewer", "operator", "approver"};
  std::vector<Operator> operators;
  const auto* list = fields.Take<Node::Array>("operators", false, "a list of operators");
  if (list != nullptr && list->size() > kMostOperators) {
    fields.Refuse("operators", "must not have more than " + std::to_string(kMostOperators) + " entries");
    return operators;
  }
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto path = "operators[" + std::to_string(i) + "]";
    Fields entry((*list)[i], path, errors);
    Operator known;
    if (const auto* caller = entry.Take<std::string>("caller", true, "a string"); caller != nullptr) {
      auto identity = identities.Parse(*caller);
      if (!identity) {
        entry.Refuse("caller", identity.error().message);
      }
      known.caller = std::move(identity).value_or("");
    }
    for (const auto& name : entry.TakeStrings("roles", true)) {
      const auto role = ParseRole(name);
      if (!role) {
        entry.Refuse("roles", "must be some of: viewer, operator, approver" + DidYouMean(name, kRoles));
        break;
      }
      known.roles.push_back(*role);
    }
    entry.RefuseTheRest();
    operators.push_back(std::move(known));
  }
  return operators;
}

// What to say of a method that the rule does not know.
std::string UnknownMethod(std::string_view method) {
  std::string all;
  for (const auto known : kTwoPersonMethods) {
    all.append(all.empty() ? "" : ", ").append(known);
  }
  return "no such method" + DidYouMean(method, kTwoPersonMethods) + "; the methods are: " + all +
         "; or \"all\" of them";
}

std::vector<std::string> ReadMethods(Fields& entry) {
  const auto* node = entry.Take("methods", true);
  const auto* word = node == nullptr ? nullptr : std::get_if<std::string>(&node->value);
  return word != nullptr ? std::vector{*word} : entry.TakeStrings("methods", true);
}

TwoPersonRule ReadTwoPersonRule(Fields& fields, Errors& errors) {
  TwoPersonRule rule;
  const auto* node = fields.Take("two_person_rule", false);
  if (node == nullptr) {
    return rule;
  }
  Fields entry(*node, "two_person_rule", errors);
  for (auto& method : ReadMethods(entry)) {
    if (method == "all") {
      rule.methods.insert(kTwoPersonMethods.begin(), kTwoPersonMethods.end());
    } else if (std::ranges::find(kTwoPersonMethods, method) != kTwoPersonMethods.end()) {
      rule.methods.insert(std::move(method));
    } else {
      entry.Refuse("methods", UnknownMethod(method));
      break;
    }
  }
  if (const auto* alone = entry.Take<bool>("revoke_by_one_person", false, "true or false");
      alone != nullptr && *alone && rule.methods.erase("RevokeKey") == 0) {
    entry.Refuse("revoke_by_one_person",
                 "exempts RevokeKey from the rule, which does not cover it: methods must have "
                 "RevokeKey, or be \"all\"");
  }
  rule.window = entry.TakeDuration("window", seconds(60), kLongestLead).value_or(rule.window);
  entry.RefuseTheRest();
  return rule;
}

KeyLimits ReadKeyLimits(Fields& fields, Errors& errors) {
  KeyLimits limits;
  const auto* node = fields.Take("key_limits", false);
  if (node == nullptr) {
    return limits;
  }
  Fields entry(*node, "key_limits", errors);
  const auto take = [&](const char* name, std::int64_t most, std::size_t& limit) {
    const auto* value = entry.Take<std::int64_t>(name, false, "an integer");
    if (value != nullptr && (*value < 1 || *value > most)) {
      entry.Refuse(name, "must be from 1 to " + std::to_string(most));
    } else if (value != nullptr) {
      limit = static_cast<std::size_t>(*value);
    }
  };
  take("per_client", KeyLimits::kMostPerClient, limits.per_client);
  take("generations_per_hour", KeyLimits::kMostPerHour, limits.generations_per_hour);
  take("client_generations_per_hour", KeyLimits::kMostPerHour, limits.client_generations_per_hour);
  entry.RefuseTheRest();
  return limits;
}

// With nobody, or only one identity, on the one side of the rule, nothing that it names could ever be done.
void CheckTwoPersons(const TwoPersonRule& rule, const std::vector<Operator>& operators,
                     std::vector<std::string>& warnings) {
  const auto has = [](Role role) {
    return [role](const Operator& entry) { return std::ranges::find(entry.roles, role) != entry.roles.end(); };
  };
  const bool possible = std::ranges::any_of(operators, [&](const Operator& approver) {
    return has(Role::kApprover)(approver) && std::ranges::any_of(operators, [&](const Operator& other) {
             return other.caller != approver.caller && has(Role::kOperator)(other);
           });
  });
  if (!rule.methods.empty() && !possible) {
    warnings.push_back(
        "two_person_rule: no two operators can agree on a change: one needs the role operator, another approver");
  }
}

// Identity servers compare octet for octet: what cannot be seen is a typing error.
void ReadAudiences(Fields& fields, Client& client, Errors& errors, std::vector<std::string>& warnings) {
  const auto* const list = fields.Take("audiences", false);
  if (const auto* entries = list == nullptr ? nullptr : std::get_if<Node::Array>(&list->value);
      entries != nullptr && entries->empty()) {
    fields.Refuse("audiences", "must name at least one audience");
  }
  for (auto& entry : fields.TakeEntries("audiences", true)) {
    if (const auto invisible = FindInvisible(entry.text)) {
      errors.Add(entry.line, entry.path,
                 "has " + *invisible + ": no audience has white space or a character that cannot be seen");
    } else if (!entry.text.starts_with("https://") && !entry.text.starts_with("urn:")) {
      warnings.push_back(entry.path + ": is neither an https URL nor a URN, as identity servers' audiences are");
    }
    client.audiences.push_back(std::move(entry.text));
  }
}

Client ReadClient(const Node& node, const std::string& path, seconds refresh_interval, Identities& identities,
                  Errors& errors, std::vector<std::string>& warnings) {
  Fields fields(node, path, errors);
  Client client;
  if (const auto* client_id = fields.Take<std::string>("client_id", true, "a string"); client_id != nullptr) {
    client.client_id = *client_id;
    if (client_id->empty() || client_id->size() > 255 || !IsVschar(*client_id)) {
      fields.Refuse("client_id", "must be 1 to 255 printable ASCII characters (RFC 6749 appendix A.1)");
    } else if (client_id->starts_with(' ') || client_id->ends_with(' ')) {
      fields.Refuse("client_id", "must not begin or end with a blank");
    }
    if (std::ranges::find(kOwnKeyLabels, *client_id) != kOwnKeyLabels.end()) {
      fields.Refuse("client_id", "is the name of a key of assertiond's own");
    }
  }
  ReadAudiences(fields, client, errors, warnings);
  if (const auto* as_list = fields.Take<bool>("audience_as_list", false, "true or false"); as_list != nullptr) {
    client.audience_as_list = *as_list;
  }
  ReadLifetimes(fields, client, warnings, path);
  ReadBinding(fields, client, refresh_interval);
  if (const auto* name = fields.Take<std::string>("algorithm", false, "a string"); name != nullptr) {
    client.algorithm = FindAlgorithm(*name);
    if (client.algorithm == nullptr) {
      fields.Refuse("algorithm", "must be one of: " + AlgorithmNames());
    }
  }
  for (auto& claim : fields.TakeStrings("extra_claims", false)) {
    if (IsReservedClaim(claim)) {
      fields.Refuse("extra_claims", "'" + claim + "' is reserved and set by the server");
    } else if (const auto invisible = FindInvisible(claim)) {
      fields.Refuse("extra_claims", "'" + claim + "' has " + *invisible + ", which no claim's name has");
    }
    client.extra_claims.insert(std::move(claim));
  }
  client.callers = ReadCallers(fields, identities, errors);
  fields.RefuseTheRest();
  return client;
}

std::vector<Client> ReadClients(Fields& fields, seconds refresh_interval, Identities& identities, Errors& errors,
                                std::vector<std::string>& warnings) {
  std::vector<Client> clients;
  const auto* list = fields.Take<Node::Array>("clients", true, "a list of clients");
  if (list != nullptr && list->empty()) {
    fields.Refuse("clients", "must name at least one client");
  }
  std::set<std::string> seen;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto path = "clients[" + std::to_string(i) + "]";
    auto client = ReadClient((*list)[i], path, refresh_interval, identities, errors, warnings);
    if (!client.client_id.empty() && !seen.insert(client.client_id).second) {
      errors.Add((*list)[i].line, path + ".client_id", "is the id of an earlier client");
    }
    clients.push_back(std::move(client));
  }
  return clients;
}

std::string ReadSocketPath(Fields& fields) {
  const auto* listen = fields.Take<std::string>("listen", true, "a string");
  if (listen == nullptr) {
    return {};
  }
  std::string_view path = *listen;
  if (path.starts_with("unix:")) {
    path.remove_prefix(5);
    if (path.starts_with("//")) {
      path.remove_prefix(2);
    }
  }
  if (!path.starts_with('/')) {
    fields.Refuse("listen", "must be unix: and an absolute path, for example unix:/run/assertiond/assertiond.sock");
  } else if (path.size() > kMaxSocketPath || path.find('\0') != std::string_view::npos) {
    fields.Refuse("listen", "the path must have at most " + std::to_string(kMaxSocketPath) +
                                " octets: a Unix socket's name holds no more");
  }
  return std::string(path);
}

// "token", or "file:" and an absolute path; answers the path.
std::string ReadLedger(Fields& fields) {
  const auto* ledger = fields.Take<std::string>("ledger", false, "a string");
  if (ledger == nullptr || *ledger == "token") {
    return {};
  }
  if (!ledger->starts_with("file:/") || ledger->ends_with('/') || ledger->find('\0') != std::string::npos) {
    fields.Refuse("ledger", "must be \"token\", or file: and an absolute path");
    return {};
  }
  return ledger->substr(5);
}

std::optional<gid_t> ReadListenGroup(Fields& fields) {
  const auto* name = fields.Take<std::string>("listen_group", false, "a string");
  if (name == nullptr) {
    return std::nullopt;
  }
  group entry{};
  group* found = nullptr;
  std::array<char, 65536> buffer{};  // members' names stand in it, too
  if (name->find('\0') == std::string::npos) {
    getgrnam_r(name->c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (found == nullptr) {
    fields.Refuse("listen_group", "this machine has no such group");
    return std::nullopt;
  }
  return found->gr_gid;
}

// HOST:PORT; an IPv6 address stands in brackets, which are taken off. False when it is none.
bool ParseHostPort(const std::string& text, std::string& host, int& port) {
  constexpr int kMostPort = 65535;
  const auto colon = text.rfind(':');
  const auto digits = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  const bool number =
      !digits.empty() && digits.size() <= 5 && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  port = number ? std::stoi(digits) : -1;
  return !host.empty() && port >= 0 && port <= kMostPort;
}

// False: there is none, or it is refused.
bool ReadListen(Fields& fields, const char* field, bool required, const char* example, std::string& host, int& port) {
  const auto* listen = fields.Take<std::string>(field, required, "a string");
  if (listen == nullptr) {
    return false;
  }
  const bool right = ParseHostPort(*listen, host, port);
  if (!right) {
    fields.Refuse(field,
                  std::string("must be HOST:PORT, for example ") + example + "; port 0: one that the system chooses");
  }
  return right;
}

void ReadHttpListen(Fields& fields, std::string& host, int& port, bool with_tls, std::vector<std::string>& warnings) {
  if (ReadListen(fields, "http_listen", false, "127.0.0.1:8089", host, port) && !with_tls && host != "localhost" &&
      host != "::1" && !host.starts_with("127.")) {
    warnings.push_back(
        "http_listen: plain HTTP beyond this machine: who can change an answer on its way chooses the keys that "
        "identity servers trust; with tls it is HTTPS");
  }
}

std::string ReadPath(Fields& fields, const char* name, bool required) {
  const auto* path = fields.Take<std::string>(name, required, "a string");
  if (path != nullptr && (!path->starts_with('/') || path->find('\0') != std::string::npos)) {
    fields.Refuse(name, "must be an absolute path");
  }
  return path == nullptr ? "" : *path;
}

// The HSM that is named so, as `key list` and the metrics call it: by its token's label. Which one that is must be
// known before it is there, so its URI has to say the label.
std::string ReadHsmName(Fields& fields, const std::vector<TokenUri>& hsms) {
  const auto* name = fields.Take<std::string>("hsm", false, "a string");
  if (name == nullptr || hsms.empty()) {  // without any, hsm itself is refused
    return {};
  }
  const auto matching = std::ranges::count(hsms, *name, &TokenUri::token_label);
  if (name->empty() || matching == 0) {
    std::string labels;
    for (const auto& uri : hsms) {
      labels.append(labels.empty() || uri.token_label().empty() ? "" : ", ").append(uri.token_label());
    }
    fields.Refuse("hsm", "must be the token attribute of one of the URIs in the field hsm at the top" +
                             (labels.empty() ? ", none of which has it" : ": " + labels));
  } else if (matching > 1) {
    fields.Refuse("hsm", "several URIs in the field hsm at the top have this token attribute");
  }
  return *name;
}

std::optional<TlsConfig> ReadTls(Fields& fields, const std::vector<TokenUri>& hsms, Errors& errors) {
  const auto* node = fields.Take("tls", false);
  if (node == nullptr) {
    return std::nullopt;
  }
  TlsConfig tls;
  Fields entry(*node, "tls", errors);
  ReadListen(entry, "listen", true, "0.0.0.0:8443", tls.host, tls.port);
  tls.hsm = ReadHsmName(entry, hsms);
  tls.certificate = ReadPath(entry, "certificate", true);
  tls.client_ca = ReadPath(entry, "client_ca", true);
  tls.crl_directory = ReadPath(entry, "crl_directory", false);
  if (const auto grace = entry.TakeDuration("crl_grace", seconds(0), kLongestCrlGrace); grace) {
    tls.crl_grace = *grace;
    if (tls.crl_directory.empty()) {
      entry.Refuse("crl_grace", "is for CRLs: needs crl_directory");
    }
  }
  entry.RefuseTheRest();
  return tls;
}

std::uint64_t ReadCount(Fields& fields, const char* name, std::int64_t least, std::int64_t most,
                        std::uint64_t otherwise) {
  const auto* count = fields.Take<std::int64_t>(name, false, "an integer");
  if (count == nullptr) {
    return otherwise;
  }
  if (*count < least || *count > most) {
    fields.Refuse(name, "must be from " + std::to_string(least) + " to " + std::to_string(most));
    return otherwise;
  }
  return static_cast<std::uint64_t>(*count);
}

AuditConfig ReadAudit(Fields& fields, const std::vector<TokenUri>& hsms, const std::string& state_directory,
                      Errors& errors, std::vector<std::string>& warnings) {
  constexpr std::int64_t kLeastRotation = 4096;
  constexpr std::int64_t kMostRotation = std::int64_t{4} << 30U;
  constexpr std::int64_t kMostLines = 1'000'000;
  constexpr std::int64_t kMostReserve = std::int64_t{1} << 40U;
  AuditConfig audit;
  audit.path = state_directory + "/audit.log";
  const auto* node = fields.Take("audit", false);
  if (node == nullptr) {
    return audit;
  }
  Fields entry(*node, "audit", errors);
  if (const auto* enabled = entry.Take<bool>("enabled", false, "true or false"); enabled != nullptr) {
    audit.enabled = *enabled;
  }
  audit.hsm = ReadHsmName(entry, hsms);
  if (const auto* path = entry.Take<std::string>("path", false, "a string"); path != nullptr) {
    audit.path = *path;
    if (!path->starts_with('/') || path->ends_with('/') || path->find('\0') != std::string::npos) {
      entry.Refuse("path", "must be an absolute path of a file");
    }
  }
  audit.rotate_octets = ReadCount(entry, "rotate_octets", kLeastRotation, kMostRotation, audit.rotate_octets);
  audit.checkpoint_lines = ReadCount(entry, "checkpoint_lines", 1, kMostLines, audit.checkpoint_lines);
  audit.reserve = ReadCount(entry, "reserve", 0, kMostReserve, audit.reserve);
  audit.checkpoint_interval =
      entry.TakeDuration("checkpoint_interval", seconds(1), std::chrono::hours(1)).value_or(audit.checkpoint_interval);
  entry.RefuseTheRest();
  if (!audit.enabled) {
    warnings.push_back("audit: is not enabled: nothing will show what was signed, or who asked for it");
  }
  return audit;
}

std::optional<Rate> ReadCallerRate(Fields& fields, Errors& errors) {
  constexpr std::int64_t kMost = 1'000'000;
  const auto* node = fields.Take("caller_rate", false);
  if (node == nullptr) {
    return std::nullopt;
  }
  Fields entry(*node, "caller_rate", errors);
  const auto take = [&](const char* name, bool required, std::int64_t otherwise) {
    const auto* value = entry.Take<std::int64_t>(name, required, "an integer");
    if (value != nullptr && (*value < 1 || *value > kMost)) {
      entry.Refuse(name, "must be from 1 to 1000000");
    }
    return value == nullptr ? otherwise : *value;
  };
  const auto per_second = take("per_second", true, 1);
  const auto burst = take("burst", false, per_second);
  entry.RefuseTheRest();
  return Rate{.per_second = per_second, .burst = burst};
}

Rate ReadRefusals(Fields& fields, Errors& errors) {
  constexpr std::int64_t kMost = 1'000'000;
  Rate rate = Config{}.refusals;
  if (const auto* node = fields.Take("refusals", false); node != nullptr) {
    Fields entry(*node, "refusals", errors);
    const auto take = [&](const char* name, std::int64_t otherwise) {
      return static_cast<std::int64_t>(ReadCount(entry, name, 1, kMost, static_cast<std::uint64_t>(otherwise)));
    };
    rate = {.per_second = take("per_second", rate.per_second), .burst = take("burst", rate.burst)};
    entry.RefuseTheRest();
  }
  return rate;
}

ConnectionsConfig ReadConnections(Fields& fields, Errors& errors) {
  constexpr std::int64_t kMost = 65536;
  ConnectionsConfig connections;
  if (const auto* node = fields.Take("connections", false); node != nullptr) {
    Fields entry(*node, "connections", errors);
    connections = {.per_peer = ReadCount(entry, "per_peer", 1, kMost, connections.per_peer),
                   .total = ReadCount(entry, "total", 1, kMost, connections.total),
                   .handshakes = ReadCount(entry, "handshakes", 1, kMost, connections.handshakes)};
    entry.RefuseTheRest();
  }
  return connections;
}

// One URI, or a list of them.
std::vector<TokenUri> ReadHsms(Fields& fields) {
  constexpr std::size_t kMost = 8;
  const auto* node = fields.Take("hsm", true);
  if (node == nullptr) {
    return {};
  }
  std::vector<std::string> texts;
  if (const auto* text = std::get_if<std::string>(&node->value); text != nullptr) {
    texts = {*text};
  } else {
    texts = fields.TakeStrings("hsm", true);
    if (texts.empty() || texts.size() > kMost) {
      fields.Refuse("hsm", "must be one PKCS#11 URI, or a list of 1 to 8");
    }
  }
  std::vector<TokenUri> hsms;
  for (auto text = texts.begin(); text != texts.end(); ++text) {
    auto parsed = TokenUri::Parse(*text);
    if (!parsed) {
      fields.Refuse("hsm", parsed.error().message);
    } else if (std::find(texts.begin(), text, *text) != text) {
      fields.Refuse("hsm", "must not name one HSM twice");
    } else {
      hsms.push_back(std::move(*parsed));
    }
  }
  return hsms;
}

std::optional<std::size_t> ReadSessions(Fields& fields) {
  constexpr std::int64_t kMost = 256;
  const auto* sessions = fields.Take<std::int64_t>("sessions", false, "an integer");
  if (sessions == nullptr) {
    return std::nullopt;
  }
  if (*sessions < 1 || *sessions > kMost) {
    fields.Refuse("sessions", "must be from 1 to 256");
    return 1;
  }
  return static_cast<std::size_t>(*sessions);
}

}  // namespace

std::expected<Config, std::vector<std::string>> ParseConfig(std::string_view text,
                                                            const std::string& default_state_directory) {
  const auto document = ParseDocument(text);
  if (!document) {
    return std::unexpected(std::vector{document.error()});
  }
  Errors errors;
  std::vector<std::string> warnings;
  Fields fields(*document, "", errors);

  auto hsms = ReadHsms(fields);
  auto socket_path = ReadSocketPath(fields);
  const auto socket_group = ReadListenGroup(fields);
  auto state_directory = default_state_directory;
  if (const auto* named = fields.Take<std::string>("state_directory", false, "a string"); named != nullptr) {
    state_directory = *named;
    if (!named->starts_with('/') || named->find('\0') != std::string::npos) {
      fields.Refuse("state_directory", "must be an absolute path");
    }
  }
  auto lock_directory = state_directory + "/lock";
  if (const auto* named = fields.Take<std::string>("lock_directory", false, "a string"); named != nullptr) {
    lock_directory = *named;
    if (!named->starts_with('/')) {
      fields.Refuse("lock_directory", "must be an absolute path");
    }
  }
  const auto sessions = ReadSessions(fields);
  auto ledger_path = ReadLedger(fields);
  const auto refresh_interval =
      fields.TakeDuration("refresh_interval", seconds(1), kLongestRefresh).value_or(seconds(5));
  const auto drain_limit =
      fields.TakeDuration("drain_limit", seconds(1), std::chrono::minutes(10)).value_or(seconds(30));
  std::string http_host;
  int http_port = 0;
  std::string admin_host;
  int admin_port = 0;
  auto audit = ReadAudit(fields, hsms, state_directory, errors, warnings);
  auto tls = ReadTls(fields, hsms, errors);
  ReadHttpListen(fields, http_host, http_port, tls.has_value(), warnings);
  ReadListen(fields, "admin_listen", false, "127.0.0.1:8090", admin_host, admin_port);
  Identities identities;
  auto operators = ReadOperators(fields, identities, errors);
  auto two_person_rule = ReadTwoPersonRule(fields, errors);
  CheckTwoPersons(two_person_rule, operators, warnings);
  const auto key_limits = ReadKeyLimits(fields, errors);
  const auto caller_rate = ReadCallerRate(fields, errors);
  const auto refusals = ReadRefusals(fields, errors);
  const auto connections = ReadConnections(fields, errors);
  auto clients = ReadClients(fields, refresh_interval, identities, errors, warnings);
  fields.RefuseTheRest();
  if (!errors.empty()) {
    return std::unexpected(errors.Take());
  }
  if (warnings.size() > kMostWarnings) {
    const auto more = warnings.size() - kMostWarnings;
    warnings.resize(kMostWarnings);
    warnings.push_back("and " + std::to_string(more) + " more warnings");
  }
  return Config{.hsms = std::move(hsms),
                .socket_path = std::move(socket_path),
                .socket_group = socket_group,
                .state_directory = std::move(state_directory),
                .lock_directory = std::move(lock_directory),
                .sessions = sessions,
                .ledger_path = std::move(ledger_path),
                .refresh_interval = refresh_interval,
                .drain_limit = drain_limit,
                .http_host = std::move(http_host),
                .http_port = http_port,
                .admin_host = std::move(admin_host),
                .admin_port = admin_port,
                .audit = std::move(audit),
                .tls = std::move(tls),
                .operators = std::move(operators),
                .two_person_rule = std::move(two_person_rule),
                .key_limits = key_limits,
                .caller_rate = caller_rate,
                .refusals = refusals,
                .connections = connections,
                .clients = std::move(clients),
                .warnings = std::move(warnings)};
}

std::expected<Config, std::vector<std::string>> ReadConfig(const std::string& path) {
  const auto text = ReadRegularFile(path, kMaxFileSize);
  if (!text) {
    return std::unexpected(std::vector{path + ": " + text.error().message});
  }
  std::string state_directory = std::filesystem::absolute(path).parent_path().string();
  if (const char* from_systemd = std::getenv("STATE_DIRECTORY"); from_systemd != nullptr && *from_systemd == '/') {
    const std::string_view list = from_systemd;
    state_directory = list.substr(0, list.find(':'));
  }
  auto config = ParseConfig(*text, state_directory);
  if (!config) {
    for (auto& error : config.error()) {
      error.insert(0, path + ":");
    }
  }
  return config;
}

std::size_t Config::RankOf(std::string_view hsm) const {
  const auto found = std::ranges::find(hsms, hsm, &TokenUri::token_label);
  return hsm.empty() || found == hsms.end() ? 0 : static_cast<std::size_t>(std::distance(hsms.begin(), found));
}

std::string Config::LedgerPath(std::size_t rank, const std::string& serial) const {
  if (rank == 0) {
    return ledger_path;
  }
  auto name = serial;
  std::ranges::replace(name, '/', '_');
  return ledger_path + "." + name;
}

std::vector<std::string> FieldsThatNeedARestart(const Config& before, const Config& after) {
  std::vector<std::string> fields;
  const auto compare = [&](const char* field, bool same) {
    if (!same) {
      fields.emplace_back(field);
    }
  };
  compare("hsm", std::ranges::equal(before.hsms, after.hsms, {}, &TokenUri::text, &TokenUri::text));
  compare("listen", before.socket_path == after.socket_path);
  compare("listen_group", before.socket_group == after.socket_group);
  compare("state_directory", before.state_directory == after.state_directory);
  compare("lock_directory", before.lock_directory == after.lock_directory);
  compare("sessions", before.sessions == after.sessions);
  compare("ledger", before.ledger_path == after.ledger_path);
  compare("refresh_interval", before.refresh_interval == after.refresh_interval);
  compare("drain_limit", before.drain_limit == after.drain_limit);
  compare("audit", before.audit == after.audit);
  compare("refusals", before.refusals == after.refusals);
  compare("connections", before.connections == after.connections);
  compare("tls", before.tls == after.tls);
  compare("http_listen", before.http_host == after.http_host && before.http_port == after.http_port);
  compare("admin_listen", before.admin_host == after.admin_host && before.admin_port == after.admin_port);
  return fields;
}

}  // namespace assertion
