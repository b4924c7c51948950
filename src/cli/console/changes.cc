#include "cli/console/changes.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "assertion/bytes.h"
#include "cli/call.h"
#include "cli/connection.h"
#include "cli/console/form.h"
#include "cli/console/page.h"
#include "cli/console/pending_part.h"
#include "cli/html.h"
#include "cli/instant.h"
#include "cli/key/change.h"
#include "cli/key/key_text.h"
#include "cli/oidc/redirect_query.h"
#include "x509/openssl.h"

namespace assertion::cli {
namespace {

struct KeyChange {
  std::string_view path;
  const char* title;
  const char* explanation;
  const char* forcing;  // what --force of the command line goes through with; null: it has none
  const char* done;
};

constexpr std::array<KeyChange, 3> kKeyChanges = {
    {{.path = "generate",
      .title = "Generate a key",
      .explanation = "Generates a key pair in the token, and a self-signed certificate. It signs at once if no other "
                     "key of the client signs or has a time to; else it waits for its schedule.",
      .forcing = nullptr,
      .done = "The key is generated"},
     {.path = "rotate",
      .title = "Rotate",
      .explanation = "Generates the client's next key and sets when it takes over from the one that signs now.",
      .forcing = "Force: let it take over after less than publish_lead of publication",
      .done = "The next key is generated"},
     {.path = "revoke",
      .title = "Revoke a key",
      .explanation = "Ends signing and publication of the key now. This is the emergency brake, and cannot be undone.",
      .forcing = "Force: also if the client is left without a signing key",
      .done = "The key is revoked"}}};

const KeyChange* KeyChangeOf(std::string_view path) {
  const auto* found = std::ranges::find(kKeyChanges, path, &KeyChange::path);
  return found == kKeyChanges.end() ? nullptr : found;
}

bool IsDecision(std::string_view path) { return path == "approve" || path == "withdraw"; }

// The flags of `assertionctl key` that the form stands for.
Result<ChangeFlags> FlagsOf(const oauth::FormFields& fields) {
  ChangeFlags flags;
  const auto version = FieldOf(fields, "version");
  std::int64_t number = 0;
  const auto read = std::from_chars(version.data(), version.data() + version.size(), number);
  if (read.ec != std::errc() || read.ptr != version.data() + version.size()) {
    return Fail(Code::kInvalidArgument, "the form has no version: load the page again");
  }
  flags.expected_version = number;
  flags.request_id = FieldOf(fields, "request_id");
  if (!FieldOf(fields, "force").empty()) {
    flags.force_client_id = FieldOf(fields, "confirmation");
  }
  return flags;
}

// What was pasted, without the blanks around it.
std::string Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto from = text.find_first_not_of(kBlanks);
  return from == std::string_view::npos ? ""
                                        : std::string(text.substr(from, text.find_last_not_of(kBlanks) - from + 1));
}

Result<v1::PendingChange> FindPending(const std::string& server, const std::string& id) {
  ASSIGN_OR_RETURN(auto connection, Connection::Open(server));
  ASSIGN_OR_RETURN(const auto pending, connection.ListPendingChanges({}));
  const auto found = std::ranges::find(pending.changes(), id, [](const auto& change) { return change.id(); });
  return found == pending.changes().end()
             ? Fail(Code::kNotFound, "no such change waits: it was made, withdrawn, or has expired")
             : Result<v1::PendingChange>(*found);
}

// Who may decide, before anybody fills a form for nothing. Only the server knows who asks: behind a forwarded socket
// it is another user than the console's.
std::string WhoDecides(const v1::PendingChange& change, bool approves) {
  if (!approves) {
    return Paragraph("The server takes this from its requester, and from callers with the role approver.", "quiet");
  }
  return change.requested_by() == "uid:" + std::to_string(geteuid())
             ? Paragraph("You, " + change.requested_by() + ", requested it: the server takes the approval of another.",
                         "warn")
             : Paragraph("The server takes this from callers with the role approver, but not from its requester.",
                         "quiet");
}

}  // namespace

bool ConsoleChanges::Has(std::string_view path) { return KeyChangeOf(path) != nullptr || IsDecision(path); }

LoopbackAnswer ConsoleChanges::Answer(const ConsoleVisit& visit) const {
  if (IsDecision(visit.path)) {
    return visit.changes ? Decide(visit) : AskForDecision(visit);
  }
  return visit.changes ? ChangeKeys(visit) : AskForKeys(visit);
}

LoopbackAnswer ConsoleChanges::Page(const std::string& title, const std::string& html, const char* status) const {
  auto answer = ConsolePage(session_.place(), title, html);
  answer.status = status;
  return answer;
}

LoopbackAnswer ConsoleChanges::Refused(const Error& error) const {
  const auto* status = error.code == Code::kAddressUnusable ? "502 Bad Gateway" : "409 Conflict";
  return Page(
      "Not done",
      Section("What is wrong", Paragraph(error.message, "bad") + Paragraph("Next: " + AdviceOn(error), "quiet") +
                                   "<p>" + Link(".", {}, "Back to the keys") + "</p>\n"),
      status);
}

template <typename Response>
LoopbackAnswer ConsoleChanges::OutcomeOf(const Result<Response>& response, const char* done) const {
  if (!response) {
    return Refused(response.error());
  }
  const auto now = SystemTime();
  const auto back = "<p>" + Link(".", {}, "Back to the keys") + "</p>\n";
  if (response->has_pending()) {
    return Page("Nothing has changed yet",
                Section("It waits for a second person", PendingFacts(response->pending(), now) + back));
  }
  return Page(done, Section("The key", "<pre>" + Escaped(KeyText(response->key(), now)) + "</pre>\n" + back));
}

LoopbackAnswer ConsoleChanges::AskForKeys(const ConsoleVisit& visit) const {
  const auto& change = *KeyChangeOf(visit.path);
  const auto client_id = FieldOf(visit.fields, "client_id");
  const auto kid = change.path == "revoke" ? FieldOf(visit.fields, "kid") : "";
  auto connection = Connection::Open(server_);
  if (!connection) {
    return Refused(connection.error());
  }
  const auto keys = connection->ListKeys({});
  if (!keys) {
    return Refused(keys.error());
  }
  const auto is_key = [&](const v1::Key& key) { return key.client_id() == client_id && key.kid() == kid; };
  const auto named = std::ranges::find_if(keys->keys(), is_key);
  const auto known = keys->versions().find(client_id);
  if (known == keys->versions().end() || (!kid.empty() && named == keys->keys().end())) {
    return Refused({.code = Code::kNotFound, .message = "there is no such client or key", .detail = {}});
  }
  const auto request_id = RandomId(x509::RandomOctets);
  if (!request_id) {
    return Refused(request_id.error());
  }
  auto html = Paragraph(change.explanation) +
              Paragraph("The server takes this from callers with the role operator.", "quiet") +
              Paragraph("Client: " + client_id, "state");
  if (!kid.empty()) {
    html += "<pre>" + Escaped(KeyText(*named, SystemTime())) + "</pre>\n";
  }
  ConsoleForm form(change.path, session_);
  form.Hidden("client_id", client_id).Hidden("kid", kid).Hidden("request_id", Hex(*request_id));
  form.Hidden("version", std::to_string(kid.empty() ? known->second : named->version()));
  if (change.path != "revoke") {
    form.Field("algorithm", "Algorithm", "for example ES256; empty: as configured");
  }
  if (change.path == "rotate") {
    form.Field("sign_from", "Takes over",
               "now, +2h, +1d or a time in UTC; empty: after publish_lead, or never for a client with one certificate");
  }
  if (change.forcing != nullptr) {
    form.Choice("force", change.forcing);
  }
  form.Field("confirmation", "To confirm, type the client id", "exactly as it stands above", true);
  return Page(std::string(change.title) + ": " + client_id, Section("Confirm", html + form.Html(change.title)));
}

LoopbackAnswer ConsoleChanges::ChangeKeys(const ConsoleVisit& visit) const {
  const auto& change = *KeyChangeOf(visit.path);
  const auto field = [&](const char* name) { return FieldOf(visit.fields, name); };
  const auto client_id = field("client_id");
  if (client_id.empty() || field("confirmation") != client_id) {
    return Page(
        "Not confirmed",
        Section("Nothing was changed", Paragraph("The client id that was typed is not that of the client.", "bad") +
                                           "<p>" + Link(".", {}, "Back to the keys") + "</p>\n"),
        "400 Bad Request");
  }
  auto flags = FlagsOf(visit.fields);
  if (!flags) {
    return Refused(flags.error());
  }
  if (change.path == "revoke") {
    v1::RevokeKeyRequest request;
    request.set_client_id(client_id);
    request.set_kid(field("kid"));
    return OutcomeOf(SendChange(server_, &Connection::RevokeKey, request, *flags), change.done);
  }
  if (change.path == "generate") {
    v1::GenerateKeyRequest request;
    request.set_client_id(client_id);
    request.set_algorithm(field("algorithm"));
    return OutcomeOf(SendChange(server_, &Connection::GenerateKey, request, *flags), change.done);
  }
  v1::RotateKeyRequest request;
  request.set_client_id(client_id);
  request.set_algorithm(field("algorithm"));
  if (const auto text = field("sign_from"); !text.empty()) {
    const auto sign_from = ParseInstant(text, SystemTime());
    if (!sign_from) {
      return Refused(sign_from.error());
    }
    *request.mutable_sign_from() = ToTimestamp(*sign_from);
    flags->instants_as_given = "sign_from=" + text;
  }
  return OutcomeOf(SendChange(server_, &Connection::RotateKey, request, *flags), change.done);
}

LoopbackAnswer ConsoleChanges::AskForDecision(const ConsoleVisit& visit) const {
  const auto change = FindPending(server_, FieldOf(visit.fields, "id"));
  if (!change) {
    return Refused(change.error());
  }
  const auto facts = PendingFacts(*change, SystemTime()) + WhoDecides(*change, visit.path == "approve");
  ConsoleForm form(visit.path, session_);
  form.Hidden("id", change->id());
  if (visit.path == "withdraw") {
    return Page("Refuse a change", Section("It is dropped for good", facts + form.Html("Refuse")));
  }
  form.Field("digest", "To approve, type or paste the digest",
             "take it from the requester, not from this page: then it is the change that you were told of", true);
  return Page("Approve a change", Section("It is made at once", facts + form.Html("Approve")));
}

LoopbackAnswer ConsoleChanges::Decide(const ConsoleVisit& visit) const {
  auto connection = Connection::Open(server_);
  if (!connection) {
    return Refused(connection.error());
  }
  const auto back = "<p>" + Link(".", {}, "Back to the keys") + "</p>\n";
  if (visit.path == "withdraw") {
    v1::WithdrawChangeRequest request;
    request.set_id(FieldOf(visit.fields, "id"));
    const auto withdrawn = connection->WithdrawChange(request);
    return withdrawn ? Page("The change is refused", Section("It does not wait any more", back))
                     : Refused(withdrawn.error());
  }
  v1::ApproveChangeRequest request;
  request.set_id(FieldOf(visit.fields, "id"));
  request.set_digest(Trimmed(FieldOf(visit.fields, "digest")));
  const auto approved = connection->ApproveChange(request);
  if (!approved) {
    return Refused(approved.error());
  }
  return Page("The change is made",
              Section("Result",
                      (approved->has_key()
                           ? "<pre>" + Escaped(KeyText(approved->key(), SystemTime())) + "</pre>\n"
                           : Paragraph(approved->has_ledger() ? "The ledger counts again." : "The key is destroyed.")) +
                          back));
}

}  // namespace assertion::cli
