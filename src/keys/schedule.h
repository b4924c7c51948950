#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/client.h"
#include "assertion/clock.h"
#include "assertion/error.h"
#include "assertion/key_record.h"

namespace assertion {

// The keys of one client. Pure rules over them: no clock, no token.
using Schedule = std::vector<KeyRecord>;

// The instants to give a key; unset: as it is, moved only as far as the others ask for.
struct Instants {
  std::optional<Time> publish_from;
  std::optional<Time> sign_from;
  std::optional<Time> sign_until;
  std::optional<Time> publish_until;
};

// Null when none.
const KeyRecord* FindKid(std::span<const KeyRecord> schedule, std::string_view kid);
const KeyRecord* SigningKeyAt(std::span<const KeyRecord> schedule, Time now);

// The CKA_IDs of the adopted keys, whose CKA_LABEL may be another than their client's id.
std::set<Bytes> AdoptedIds(std::span<const KeyRecord> schedule);

// FAILED_PRECONDITION unless each key's instants are in order and at most one key signs at any instant.
Status CheckOrder(const Schedule& schedule);

// FAILED_PRECONDITION when `after` changes an instant that has passed, or moves or sets one into the past.
Status CheckPast(const Schedule& before, const Schedule& after, Time now);

// FAILED_PRECONDITION when there is an instant, now or later, at which `before` had a signing key and `after` has none.
Status CheckNoGap(const std::string& client_id, const Schedule& before, const Schedule& after, Time now);

// FAILED_PRECONDITION when a change breaks the times that the client's binding asks for: with kJwks a key that takes
// over is published publish_lead before it signs, and stays published for publish_overlap after it stopped; with
// kCertificate a new key does not take over at once, without its certificate at the identity server.
Status CheckBinding(const Client& client, const Schedule& before, const Schedule& after);

// True: a key signs now or will.
bool WillSign(const Schedule& schedule, Time now);

struct ScheduleChange {
  const Schedule& before;
  const Schedule& after;
  Time now;
  bool may_gap;            // CheckNoGap does not count
  bool may_break_binding;  // nor does CheckBinding
};

// All of the above.
Status CheckAll(const Client& client, const ScheduleChange& change);

// With a key that takes over at `sign_from`; unset: at once when no key signs or will, else publish_lead from now with
// Binding::kJwks, else not yet. The result is not checked.
Schedule WithNext(const Client& client, Schedule schedule, KeyRecord next, std::optional<Time> sign_from, Time now);

// Gives the key of that kid these instants, past ones meaning now, and fits its neighbours: the key that signs at the
// new sign_from stops then, and is withdrawn publish_overlap later; the key that it was to take over from before signs
// on. The result is not checked.
Schedule Rescheduled(const Client& client, Schedule schedule, std::string_view kid, const Instants& instants, Time now);

// The key signs and is published no more from now on.
void Withdraw(KeyRecord& record, Time now);

// The same of one of the schedule. One that it was to take over from signs on.
Schedule Revoked(const Client& client, Schedule schedule, std::string_view kid, Time now);

}  // namespace assertion
