#include "keys/schedule.h"

#include <algorithm>
#include <array>

namespace assertion {
namespace {

// The instants in their order.
constexpr std::array kOrderedInstants = {&KeyRecord::publish_from, &KeyRecord::sign_from, &KeyRecord::sign_until,
                                         &KeyRecord::publish_until};
constexpr std::array kInstantNames = {"publish_from", "sign_from", "sign_until", "publish_until"};

const KeyRecord* FindId(const Schedule& schedule, const Bytes& id) {
  const auto found = std::ranges::find(schedule, id, &KeyRecord::id);
  return found == schedule.end() ? nullptr : &*found;
}

Time Plus(Time time, std::chrono::seconds span) { return time >= kNever - span ? kNever : time + span; }

// The key that signs at `at` stops then and stays published until nothing that it signed is valid any more.
void HandOver(const Client& client, Schedule& schedule, const KeyRecord& successor) {
  const auto at = successor.sign_from;
  for (auto& record : schedule) {
    if (&record != &successor && record.SignsAt(at)) {
      const auto withdrawn = Plus(at, client.publish_overlap());
      const bool ends_anyway = record.publish_until != kNever && record.publish_until >= withdrawn;
      record.sign_until = at;
      record.publish_until = ends_anyway ? record.publish_until : withdrawn;
    }
  }
}

// A key that was to take over at `planned` does so later or never: the key that it would have stopped signs on until
// the next one takes over.
void HandBack(const Client& client, Schedule& schedule, const KeyRecord& successor, Time planned, Time now) {
  if (planned <= now || planned == kNever) {
    return;
  }
  auto next = kNever;
  for (const auto& record : schedule) {
    if (record.sign_from < record.sign_until && record.sign_from >= planned) {
      next = std::min(next, record.sign_from);
    }
  }
  for (auto& record : schedule) {
    if (&record != &successor && record.sign_from < record.sign_until && record.sign_until == planned) {
      record.sign_until = next;
      record.publish_until = std::max(record.publish_until, Plus(next, client.publish_overlap()));
    }
  }
}

// A DPoP key is registered nowhere: each proof carries it.
bool HasReaders(const Client& client) {
  return std::ranges::any_of(client.purposes, [](Purpose purpose) { return purpose != Purpose::kDpop; });
}

// The identity server cannot have the certificate of a key that is made at this moment.
Status CheckCertificateIsThere(const Client& client, const Schedule& before, const Schedule& after) {
  for (const auto& record : after) {
    const bool at_once = record.sign_from < record.sign_until && record.sign_from <= record.publish_from;
    if (FindId(before, record.id) == nullptr && at_once && SigningKeyAt(before, record.sign_from) != nullptr &&
        HasReaders(client)) {
      return Fail(
          Code::kFailedPrecondition,
          "sign_from: the identity server does not have the new key's certificate yet and would refuse its "
          "assertions: leave sign_from out, put the certificate there, and have the key sign then; or force it");
    }
  }
  return {};
}

}  // namespace

const KeyRecord* FindKid(std::span<const KeyRecord> schedule, std::string_view kid) {
  const auto found = std::ranges::find(schedule, kid, &KeyRecord::kid);
  return found == schedule.end() ? nullptr : &*found;
}

const KeyRecord* SigningKeyAt(std::span<const KeyRecord> schedule, Time now) {
  const auto found = std::ranges::find_if(schedule, [&](const auto& record) { return record.SignsAt(now); });
  return found == schedule.end() ? nullptr : &*found;
}

std::set<Bytes> AdoptedIds(std::span<const KeyRecord> schedule) {
  std::set<Bytes> ids;
  for (const auto& record : schedule) {
    if (record.origin == KeyOrigin::kAdopted) {
      ids.insert(record.id);
    }
  }
  return ids;
}

Status CheckOrder(const Schedule& schedule) {
  for (const auto& record : schedule) {
    for (std::size_t i = 1; i < kOrderedInstants.size(); ++i) {
      if (record.*kOrderedInstants[i - 1] > record.*kOrderedInstants[i]) {
        return Fail(Code::kFailedPrecondition,
                    std::string(kInstantNames[i]) + ": " + Rfc3339(record.*kOrderedInstants[i]) + " would be before " +
                        kInstantNames[i - 1] + ", " + Rfc3339(record.*kOrderedInstants[i - 1]));
      }
    }
  }
  for (const auto& record : schedule) {
    for (const auto& other : schedule) {
      if (&record != &other && record.sign_from < record.sign_until && other.SignsAt(record.sign_from)) {
        return Fail(Code::kFailedPrecondition, "sign_from: at " + Rfc3339(record.sign_from) + " key " + record.kid +
                                                   " and key " + other.kid + " would both sign");
      }
    }
  }
  return {};
}

Status CheckPast(const Schedule& before, const Schedule& after, Time now) {
  for (const auto& record : after) {
    const auto* old = FindId(before, record.id);
    for (std::size_t i = 0; i < kOrderedInstants.size(); ++i) {
      const auto instant = record.*kOrderedInstants[i];
      const bool passed = old != nullptr && old->*kOrderedInstants[i] <= now;
      if (passed && instant != old->*kOrderedInstants[i]) {
        return Fail(Code::kFailedPrecondition, std::string(kInstantNames[i]) + ": " +
                                                   Rfc3339(old->*kOrderedInstants[i]) +
                                                   " has passed and cannot be changed");
      }
      if (!passed && instant < now) {
        return Fail(Code::kFailedPrecondition,
                    std::string(kInstantNames[i]) + ": " + Rfc3339(instant) + " is in the past");
      }
    }
  }
  return {};
}

Status CheckNoGap(const std::string& client_id, const Schedule& before, const Schedule& after, Time now) {
  std::vector<Time> moments = {now};
  for (const auto* schedule : {&before, &after}) {
    for (const auto& record : *schedule) {
      moments.push_back(record.sign_from);
      moments.push_back(record.sign_until);
    }
  }
  std::ranges::sort(moments);
  for (const auto moment : moments) {
    if (moment >= now && SigningKeyAt(before, moment) != nullptr && SigningKeyAt(after, moment) == nullptr) {
      return Fail(Code::kFailedPrecondition,
                  "client '" + client_id + "' would be without a signing key from " + Rfc3339(moment) +
                      " on: schedule another first, or force the change by naming the client");
    }
  }
  return {};
}

Status CheckBinding(const Client& client, const Schedule& before, const Schedule& after) {
  if (client.binding != Binding::kJwks) {
    return CheckCertificateIsThere(client, before, after);
  }
  for (const auto& record : after) {
    const auto* old = FindId(before, record.id);
    const bool signs = record.sign_from < record.sign_until;
    const bool starts = signs && (old == nullptr || old->sign_from != record.sign_from);
    // Without a key that signs already nobody gains by waiting.
    if (starts && SigningKeyAt(before, record.sign_from) != nullptr &&
        record.sign_from - record.publish_from < client.publish_lead) {
      return Fail(Code::kFailedPrecondition,
                  "sign_from: key " + record.kid + " must be published for " +
                      std::to_string(client.publish_lead.count()) +
                      "s (publish_lead) before it signs: identity servers cache the JWK Set; later, or force it");
    }
    const bool stops =
        signs && (old == nullptr || old->sign_until != record.sign_until || old->publish_until != record.publish_until);
    if (stops && record.publish_until < Plus(record.sign_until, client.publish_overlap())) {
      return Fail(Code::kFailedPrecondition,
                  "publish_until: key " + record.kid + " must stay published for " +
                      std::to_string(client.publish_overlap().count()) +
                      "s after it stopped signing, until its last assertion has expired; later, or force it");
    }
  }
  return {};
}

bool WillSign(const Schedule& schedule, Time now) {
  return std::ranges::any_of(schedule, [&](const auto& record) {
    return record.sign_from != kNever && record.sign_from < record.sign_until && record.sign_until > now;
  });
}

Status CheckAll(const Client& client, const ScheduleChange& change) {
  RETURN_IF_ERROR(CheckOrder(change.after));
  RETURN_IF_ERROR(CheckPast(change.before, change.after, change.now));
  if (!change.may_gap) {
    RETURN_IF_ERROR(CheckNoGap(client.client_id, change.before, change.after, change.now));
  }
  return change.may_break_binding ? Status() : CheckBinding(client, change.before, change.after);
}

Schedule WithNext(const Client& client, Schedule schedule, KeyRecord next, std::optional<Time> sign_from, Time now) {
  if (!sign_from) {
    sign_from = !WillSign(schedule, now) ? now : client.binding == Binding::kJwks ? now + client.publish_lead : kNever;
  }
  const auto kid = next.kid;
  next.publish_from = now;
  schedule.push_back(std::move(next));
  return Rescheduled(client, std::move(schedule), kid,
                     {.publish_from = now, .sign_from = sign_from, .sign_until = {}, .publish_until = {}}, now);
}

Schedule Rescheduled(const Client& client, Schedule schedule, std::string_view kid, const Instants& instants,
                     Time now) {
  const auto found = std::ranges::find(schedule, kid, &KeyRecord::kid);
  if (found == schedule.end()) {
    return schedule;
  }
  auto& record = *found;
  const auto planned = record.sign_from;
  const auto set = [&](Time KeyRecord::* instant, const std::optional<Time>& wanted) {
    if (wanted && *wanted != record.*instant) {
      record.*instant = std::max(*wanted, now);
    }
  };
  set(&KeyRecord::sign_from, instants.sign_from);
  set(&KeyRecord::publish_from, instants.publish_from);
  set(&KeyRecord::sign_until, instants.sign_until);
  set(&KeyRecord::publish_until, instants.publish_until);
  if (instants.sign_from && !instants.publish_from && record.sign_from != kNever) {
    const auto lead = client.binding == Binding::kJwks ? client.publish_lead : std::chrono::seconds(0);
    record.publish_from = std::min(record.publish_from, std::max(now, record.sign_from - lead));
  }
  if (instants.sign_until && !instants.publish_until) {
    const auto needed = Plus(record.sign_until, client.publish_overlap());
    if (record.publish_until == kNever || record.publish_until < needed) {
      record.publish_until = needed;
    }
  }
  if (record.sign_from > planned || record.sign_from >= record.sign_until) {
    HandBack(client, schedule, record, planned, now);
  }
  if (instants.sign_from && record.sign_from < record.sign_until) {
    HandOver(client, schedule, record);
  }
  return schedule;
}

void Withdraw(KeyRecord& record, Time now) {
  for (const auto instant : kOrderedInstants) {
    record.*instant = std::min(record.*instant, now);
  }
}

Schedule Revoked(const Client& client, Schedule schedule, std::string_view kid, Time now) {
  const auto found = std::ranges::find(schedule, kid, &KeyRecord::kid);
  if (found == schedule.end()) {
    return schedule;
  }
  const auto planned = found->sign_from;
  Withdraw(*found, now);
  HandBack(client, schedule, *found, planned, now);
  return schedule;
}

}  // namespace assertion
