#include "cli/call.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include "assertion/algorithm.h"
#include "cli/command_line.h"
#include "cli/output.h"

namespace assertion::cli {
namespace {

// Fields of a request, and the setting that limits each.
struct FieldLimit {
  std::string_view field;
  std::string_view setting;
};
constexpr std::array kFieldLimits = {
    FieldLimit{.field = "audience", .setting = "clients[].audiences"},
    FieldLimit{.field = "lifetime", .setting = "clients[].max_lifetime"},
    FieldLimit{.field = "subject", .setting = "clients[].subjects"},
    FieldLimit{.field = "scope", .setting = "clients[].scopes"},
    FieldLimit{.field = "extra_claims", .setting = "clients[].extra_claims"},
    FieldLimit{.field = "extra_claims_json", .setting = "clients[].extra_claims"},
};

// The hint for a refusal that names a field of the request at its beginning; empty: no field has one of its own.
std::string HintOfField(std::string_view message) {
  const auto field = message.substr(0, message.find(':'));
  if (field == "kid" || field == "--kid") {
    return "assertionctl key list shows the kids of each client";
  }
  if (field == "id" || field == "digest") {
    return "assertionctl key pending shows the changes that wait, each with its id and digest";
  }
  if (field == "client_id") {
    return "assertionctl key list shows the clients of assertiond's configuration";
  }
  if (field == "hsm") {
    return "assertionctl status shows the HSMs";
  }
  const auto* const limit = std::ranges::find(kFieldLimits, field, &FieldLimit::field);
  if (limit != kFieldLimits.end()) {
    return std::string(limit->setting) + " in assertiond's configuration says what may be asked for";
  }
  if (field == "key_bits") {
    return message.contains("left out") ? "leave out --bits" : "name one of them with --bits, or leave it out";
  }
  return field == "algorithm" ? "name it with --algorithm" : "";
}

std::string HintOfPrecondition(std::string_view message) {
  if (message.contains("key_limits")) {
    return "assertionctl key list shows the client's keys; key_limits in assertiond's configuration sets how many it "
           "may have";
  }
  if (message.contains("key accept-ledger")) {
    return "assertionctl status shows the versions; assertionctl key accept-ledger --help";
  }
  if (message.contains("does not start again")) {
    return "assertionctl key rotate makes the client's next key";
  }
  if (message.contains("accept_unshown")) {
    return "assertionctl doctor --config FILE --try shows what the token's custody lacks";
  }
  if (message.contains("clients[].kids") || message.contains("field kids")) {
    return "add the other party's kid to clients[].kids and reload assertiond: systemctl reload assertiond";
  }
  return "assertionctl key list shows the keys, what each does now and until when";
}

// How long to wait before the next call; empty: the server does not say.
std::string HintOfDelay(std::chrono::milliseconds delay) {
  return delay.count() == 0
             ? ""
             : "try again in " + std::to_string(std::chrono::ceil<std::chrono::seconds>(delay).count()) + " s";
}

// A caller in no list of a client hears the same whether the client is configured or not.
std::string HintOfDenial(std::string_view message) {
  if (message.starts_with("resource: the client's configuration names no resource")) {
    return "clients[].tokens.resources in assertiond's configuration says what may be asked for; without --resource "
           "you ask for a token that names none";
  }
  if (message.starts_with("scope: the client's configuration names no scope")) {
    return "clients[].tokens.scopes in assertiond's configuration says what may be asked for; without --scope you "
           "ask for all that you may have";
  }
  if (message.contains("may not change keys any more")) {  // of the requester, not of this caller
    return "withdraw the change, and have an operator ask again: assertionctl key withdraw ID";
  }
  if (message.contains("purposes do not include")) {
    return "name a client with this purpose, or add it to clients[].purposes and reload assertiond: systemctl reload "
           "assertiond";
  }
  if (message.contains(" this client;")) {
    return "check --client-id; if it is right, clients[].callers in assertiond's configuration must list you: id -un "
           "and id -Gn show who you are";
  }
  return "assertiond's configuration says who may do what: clients[].callers and operators; id -un and id -Gn show who "
         "you are";
}

// The server's refusal of a next key of another kind than the present one ends in the command for one of the same kind.
std::string HintOfKind(std::string_view message) {
  constexpr std::string_view kBegin = "algorithm: the client signs with a key for ";
  if (!message.starts_with(kBegin)) {
    return "";
  }
  const auto rest = message.substr(kBegin.size());
  const auto* const present = FindAlgorithm(rest.substr(0, rest.find(',')));
  return present == nullptr ? ""
                            : "for another key of this kind: " +
                                  CommandLineWith("--algorithm " + std::string(present->name), "--algorithm");
}

// gRPC's own words for an answer that it does not take, which have the status of a limit of the server's.
bool IsTooLarge(std::string_view message) {
  return message.contains("metadata size exceeds") || message.contains("message larger than max");
}

}  // namespace

std::string AdviceOn(const Error& error) {
  const auto delay = HintOfDelay(error.retry_delay);
  switch (error.code) {
    case Code::kAddressUnusable:
      if (error.message.contains("you may not open it")) {
        return "run this as root or as a member of that group: id -Gn shows your groups. listen_group in assertiond's "
               "configuration names the group";
      }
      if (error.message.contains("you may not search the folder")) {
        return error.message.contains("of the group ")
                   ? "run this as root or as a member of that group: id -Gn shows your groups"
                   : "run this as root or as that user; for other callers listen in assertiond's configuration must "
                     "name a socket in a folder that they may search, for example unix:/run/assertiond/assertiond.sock";
      }
      if (error.message.contains("not a socket") || error.message.contains("must begin with unix:")) {
        return "name assertiond's socket with --server unix:/path, as listen in its configuration does";
      }
      if (error.message.contains("a process listens there")) {
        return "if that is assertiond, its log and systemctl status assertiond show what holds it up; if not, name "
               "assertiond's socket with --server unix:/path";
      }
      if (error.message.contains("the path is too long")) {
        return "name a shorter path with --server unix:/path, for example that of a symbolic link to the folder";
      }
      return "start it with assertiond --config FILE, or name its socket with --server unix:/path";
    case Code::kAborted:
      if (error.message.starts_with("--version: ")) {
        return "nothing was changed: if the ledger of that version is the one to accept, name it with --version";
      }
      return "nothing was changed; assertionctl key list shows the present keys: if the change is still wanted, run it "
             "again, with the present version if it has --expected-version";
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      return HintOfDenial(error.message);
    case Code::kResourceExhausted:
      if (error.message.contains("key_limits")) {  // it names the field and the time
        return "wait, or raise that limit in assertiond's configuration and reload it: systemctl reload assertiond";
      }
      if (IsTooLarge(error.message)) {
        return "the server's answer is too large for assertionctl: check that --server names assertiond; if it does, "
               "its "
               "log says what it answered";
      }
      return delay.empty() ? "ask less often, or later" : delay;
    case Code::kDeadlineExceeded:
      return "the change may have been made: assertionctl key list shows it; assertiond's log and metrics show what "
             "took long";
    case Code::kInternal:
      return "assertiond's log has the failing call";
    case Code::kLedgerUnusable:
      return "assertionctl status shows a ledger that was rolled back, assertionctl doctor --config FILE one that "
             "cannot "
             "be read";
    case Code::kKeyForbidden:
    case Code::kKeyUnproven:
    case Code::kKeyAmbiguous:
      return "assertionctl doctor --config FILE shows what is wrong with the key";
    case Code::kUnavailable:
      if (error.message.contains("the identity server refused the assertion")) {  // time alone mends nothing
        return "compare with what the identity server has: assertionctl assertion create … | assertionctl assertion "
               "inspect; assertionctl certificate get … writes the certificate to upload";
      }
      // gRPC's own words, when the server ends within a call.
      return (delay.empty() ? "" : delay + "; ") +
             (error.message.contains("HSM") ? "assertionctl doctor --config FILE shows what is wrong with the HSM"
              : error.message.contains("the identity server answered")
                  ? "the identity server failed: its log says why"
                  : "assertiond's log shows why it did not answer");
    default:
      break;
  }
  const auto of_field = HintOfField(error.message);
  return !of_field.empty()                      ? of_field
         : error.code == Code::kInvalidArgument ? "correct what the message names: the verb's --help lists the options"
         : error.code == Code::kNotFound        ? "assertionctl key list shows the clients of assertiond's "
                                                  "configuration and their keys"
                                                : HintOfPrecondition(error.message);
}

int ReportCall(const Error& error) {
  return Report(error.code == Code::kAddressUnusable ? kUnreachable : kRefused, error.message, AdviceOn(error));
}

int ReportChange(const Error& error, const std::string& client_id, bool takes_force) {
  if (takes_force && error.code == Code::kFailedPrecondition && error.message.contains("force ")) {
    const bool by_waiting = error.message.contains("wait until then");
    return Report(kRefused, error.message,
                  std::string(by_waiting ? "wait until that time, then repeat the command; if it cannot wait: "
                                         : "if that is meant: ") +
                      CommandLineWith("--force " + client_id, "--force"));
  }
  if (const auto hint = HintOfKind(error.message); !hint.empty()) {
    return Report(kRefused, error.message, hint);
  }
  return ReportCall(error);
}

}  // namespace assertion::cli
