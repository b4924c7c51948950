// assertionctl key schedule

#include "keys/schedule.h"

#include "assertion/key_record.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/key/change.h"
#include "cli/key/flags.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct ScheduleKeyOptions {
  std::string client_id;
  std::string kid;
  Instants instants;
  ChangeFlags change;
  bool json = false;
};

// Which key of the client stops when `key` starts, until when it stays published, and what to do then; empty: none, or
// not known.
std::string StoppedKeyText(const std::string& server, const v1::Key& key, Time now) {
  auto connection = Connection::Open(server);
  const auto list = connection ? connection->ListKeys({}) : std::unexpected(connection.error());
  if (!list) {
    return "";
  }
  for (const auto& other : list->keys()) {
    const auto ends = ToTime(other.publish_until());
    if (other.client_id() == key.client_id() && other.kid() != key.kid() && ends != kNever && ends > now &&
        ToTime(other.sign_until()) == ToTime(key.sign_from())) {
      return "key " + Printable(other.kid()) + " signs until then, and stays published until " + Rfc3339(ends) + " (" +
             Relative(ends, now) + ")\n  next: after " + Rfc3339(ends) +
             ", if it is not needed any more: assertionctl key destroy " + KeyFlags(other.client_id(), other.kid()) +
             "\n";
    }
  }
  return "";
}

int ScheduleKey(const ScheduleKeyOptions& options, const std::string& server) {
  const auto& [publish_from, sign_from, sign_until, publish_until] = options.instants;
  if (!publish_from && !sign_from && !sign_until && !publish_until) {
    return Report(kUsage, "give at least one of --publish-from, --sign-from, --sign-until, --publish-until",
                  "assertionctl key schedule --help");
  }
  v1::ScheduleKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  if (publish_from) {
    *request.mutable_publish_from() = ToTimestamp(*publish_from);
  }
  if (sign_from) {
    *request.mutable_sign_from() = ToTimestamp(*sign_from);
  }
  if (sign_until) {
    *request.mutable_sign_until() = ToTimestamp(*sign_until);
  }
  if (publish_until) {
    *request.mutable_publish_until() = ToTimestamp(*publish_until);
  }
  return Change(server, &Connection::ScheduleKey, request, options.change, options.json, [&](const auto& response) {
    if (options.json) {
      return WriteJson(KeyJson(response.key()));
    }
    const auto now = SystemTime();
    return Write("", KeyText(response.key(), now) + (sign_from ? StoppedKeyText(server, response.key(), now) : ""));
  });
}

}  // namespace

void AddKeySchedule(Command& key) {
  const auto [verb, options] =
      key.AddVerb({.name = "schedule",
                   .summary = "Change the times of a key; give at least one. The key that signs at the new --sign-from "
                              "stops then and is withdrawn when its last assertion has expired",
                   .examples = "  assertionctl key schedule --client-id orders --kid=h3Mk… --sign-from now\n"
                               "  assertionctl key schedule --client-id orders --kid=h3Mk… --sign-until +1d",
                   .notes = kInstantHelp,
                   .statuses = {{0, kDoneOrWaits}}},
                  ScheduleKey);
  AddClientId(verb, options.client_id);
  AddRequiredKid(verb, options.kid);
  AddInstant(verb, "--publish-from", options.instants.publish_from, options.change,
             "Publish the key in the JWK Set from this time on");
  AddInstant(verb, "--sign-from", options.instants.sign_from, options.change, "Sign with the key from this time on");
  AddInstant(verb, "--sign-until", options.instants.sign_until, options.change,
             "Sign with the key until just before this time");
  AddInstant(verb, "--publish-until", options.instants.publish_until, options.change,
             "Publish the key in the JWK Set until just before this time");
  AddChange(verb, options.change,
            "the change leaves the client without a signing key, or its binding requires other times");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
