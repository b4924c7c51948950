#include "cli/doctor/diagnosis.h"

#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>

#include "assertion/clients.h"
#include "assertion/token_source.h"
#include "audit/log_file.h"
#include "cli/command_line.h"
#include "cli/doctor/hsm_trial.h"
#include "cli/key/key_text.h"
#include "cli/opened_hsm.h"
#include "cli/text.h"
#include "jws/thumbprint.h"
#include "keys/file_ledger.h"
#include "keys/key_ring.h"
#include "keys/own_key.h"
#include "keys/pending_changes.h"
#include "keys/stray.h"
#include "keys/token_ledger.h"
#include "keys/trusted_folder.h"
#include "p11/hsm_token.h"
#include "x509/certificate.h"
#include "x509/openssl.h"
#include "x509/regular_file.h"
#include "x509/trust.h"

namespace assertion::cli {
namespace {

Finding DiagnoseClock(Time now) {
  struct timex state{};
  const bool synchronised = adjtimex(&state) != TIME_ERROR;
  return {
      .name = "clock",
      .ok = true,
      .text = Rfc3339(now) + (synchronised ? ", synchronised" : ", the kernel does not know of any synchronisation"),
      .warns = !synchronised};
}

void DiagnoseAttributes(const TokenKey& key, bool imported, const std::string& name, std::vector<Finding>& findings) {
  const auto kid = jws::JwkThumbprint(key.public_key);
  for (const auto& attribute : key.attributes) {
    const std::string shown = !attribute.value ? "not shown by the token" : *attribute.value ? "true" : "false";
    const bool counts = !imported || std::ranges::find(kBirthAttributes, attribute.name) == kBirthAttributes.end();
    findings.push_back(
        {.name = name,
         .ok = !counts || attribute.ok(),
         .text = std::string(attribute.name) + " " + shown +
                 (!counts                      ? ": does not count, the key was imported"
                  : attribute.IsOnlyAccepted() ? ": not vouched for, the operator accepts it (accept_unshown)"
                  : attribute.ok()             ? ""
                  : *attribute.required        ? ": must be true"
                                               : ": must be false"),
         .kid = kid,
         .warns = counts && attribute.IsOnlyAccepted()});
  }
}

// `may_expire`: the client signs with an expired certificate on purpose.
void DiagnoseCertificate(const SigningKey& key, Time now, bool may_expire, const std::string& name,
                         std::vector<Finding>& findings) {
  const auto add = [&](bool ok, const std::string& text, bool warns = false) {
    findings.push_back({.name = name, .ok = ok, .text = "certificate " + text, .kid = key.kid, .warns = warns});
  };
  if (key.chain.empty()) {
    add(false, "missing: the key has none on the token");
    return;
  }
  const auto& leaf = key.chain.front();
  if (now < leaf.not_before) {
    add(false, "not valid before " + Rfc3339(leaf.not_before) + ": is the clock right?");
  } else if (now > leaf.not_after) {
    add(may_expire,
        "expired " + Relative(leaf.not_after, now) + ", on " + Rfc3339(leaf.not_after) +
            (may_expire ? ": the client signs with it all the same (sign_with_expired_certificate)" : ""),
        may_expire);
  } else {
    add(true, "valid until " + Rfc3339(leaf.not_after) + " (" + Relative(leaf.not_after, now) + ")");
  }
}

// Uses a holder name of its own, so that it never withdraws the claims of a running server.
Result<std::unique_ptr<Ledger>> OpenLedger(const Config& config, std::size_t rank, p11::HsmToken& token) {
  if (!config.ledger_path.empty()) {
    return std::make_unique<FileLedger>(token, config.LedgerPath(rank, token.info().serial), x509::RandomOctets);
  }
  return TokenLedger::Open(token, "assertionctl doctor " + std::to_string(getpid()), SystemTime, x509::RandomOctets);
}

void Remove(p11::HsmToken& token, Ledger& ledger, const OrphanRemoval& removal, std::vector<Finding>& findings) {
  const auto add = [&](bool ok, const std::string& text) {
    findings.push_back({.name = "client " + removal.client_id, .ok = ok, .text = text});
  };
  const auto ledgers = ledger.Read();
  if (!ledgers) {
    add(false, "orphans not removed: " + ledgers.error().ToString());
    return;
  }
  if (!ledgers->ledgers.contains(removal.client_id) && !removal.without_ledger) {
    add(false,
        "orphans not removed: the client has no ledger. Check that the configuration names the right ledger; if the "
        "objects are not keys in use, --force " +
            removal.client_id + " removes them");
    return;
  }
  const auto removed = RemoveStrays(token, ledger, removal.client_id);
  if (!removed) {
    add(false, "orphans not removed, or not all of them: " + removed.error().ToString());
    return;
  }
  for (const auto& orphan : *removed) {
    add(true,
        "removed " + orphan.ToString() + (orphan.label == removal.client_id ? "" : " under " + orphan.ShownLabel()));
  }
  if (removed->empty()) {
    add(true, "no orphans to remove");
  }
}

std::string AdoptionHint(const Stray& stray, bool is_clients) {
  return is_clients && stray.kind == Stray::Kind::kKeyPair
             ? "; assertionctl key adopt --client-id " + QuotedForShell(Printable(stray.label)) + " --cka-id " +
                   Hex(stray.id) + " shows whether the client can use it"
             : "";
}

// Finds objects on the token that have a name of assertiond's and that assertiond does not use.
void DiagnoseStrays(p11::HsmToken& token, Ledger& ledger, const Clients& clients, bool copies,
                    const std::string& config_path, std::vector<Finding>& findings) {
  const auto ledgers = ledger.Read();
  std::vector<std::string> client_ids;
  for (const auto& client : clients) {
    // Without a valid ledger it is unknown which keys are the client's.
    const bool broken = ledgers && ledgers->errors.contains(client.client_id);
    if (!broken && (!copies || client.binding != Binding::kCertificate)) {
      client_ids.push_back(client.client_id);
    }
  }
  const auto strays = ledgers ? FindStrays(token, client_ids, ledgers->ledgers) : std::unexpected(ledgers.error());
  if (!strays) {
    findings.push_back({.name = "strays", .ok = false, .text = strays.error().ToString()});
    return;
  }
  for (const auto& stray : *strays) {
    const bool named = std::ranges::find(client_ids, stray.label) != client_ids.end();
    findings.push_back({.name = named ? "client " + stray.label : "token",
                        .ok = false,
                        .text = stray.ToString() + (named ? "" : " under " + stray.ShownLabel()) + " " +
                                stray.Meaning() + AdoptionHint(stray, named) + "; assertionctl doctor --config " +
                                QuotedForShell(config_path) + " --remove-orphans --client-id " +
                                (named ? stray.label : "ID, of any client,") + " destroys it permanently"});
  }
}

// Lists the ledgers that verify, and the objects named like a ledger or a pending change that do not.
// `pending_file`: see PendingChanges.
void DiagnoseLedgers(p11::HsmToken& token, Ledger& ledger, const Clients& clients, const std::string& pending_file,
                     std::vector<Finding>& findings) {
  const auto contents = ledger.Read();
  if (!contents) {
    findings.push_back({.name = "ledger", .ok = false, .text = contents.error().ToString()});
    return;
  }
  for (const auto& [client_id, kept] : contents->ledgers) {
    const auto signer = contents->signed_by.find(client_id);
    const bool is_signed = signer != contents->signed_by.end();
    findings.push_back({.name = "ledger",
                        .ok = is_signed,
                        .text = "client " + Shown(client_id) + ": version " + std::to_string(kept.version) +
                                (is_signed ? ", signed by key " + signer->second
                                           : ", not signed: assertiond takes it over at its next start")});
    if (const auto count = kept.keys.size(); count > 0 && clients.Find(client_id) == nullptr) {
      findings.push_back({.name = "ledger",
                          .ok = true,
                          .text = "client " + Shown(client_id) + " is not in the configuration, and its ledger has " +
                                  std::to_string(count) + (count == 1 ? " key" : " keys") +
                                  ": put the client back and destroy them (assertionctl key destroy), or keep them",
                          .warns = true});
    }
  }
  for (const auto& [client_id, error] : contents->errors) {
    findings.push_back({.name = "ledger", .ok = false, .text = error.ToString()});
  }
  const auto add = [&](const StrayText& stray, const std::string& what) {
    findings.push_back({.name = "ledger",
                        .ok = false,
                        .text = "'" + stray.name + "' is not a " + what + " and is ignored: " + stray.reason +
                                "; find out who wrote it, and remove it with the token's own tool"});
  };
  for (const auto& stray : contents->strays) {
    add(stray, "ledger");
  }
  const auto pending = PendingChanges(token, SystemTime, x509::RandomOctets, {}, pending_file).Strays();
  for (std::size_t i = 0; pending && i < pending->size(); ++i) {
    add((*pending)[i], "pending change");
  }
}

// Compares the token's ledgers with the versions that the audit log has seen, as assertiond does at its start.
void DiagnoseRollback(p11::HsmToken& token, Ledger& ledger, const AuditConfig& audit, std::vector<Finding>& findings) {
  const auto contents = ledger.Read();
  if (!contents || !audit.enabled) {
    return;
  }
  const auto versions = audit::ReadLedgerVersions(audit.path);
  if (!versions) {
    findings.push_back({.name = "ledger",
                        .ok = true,
                        .text = "whether it was rolled back is unknown: " + versions.error().ToString(),
                        .warns = true});
    return;
  }
  std::map<std::string, std::int64_t> seen;
  for (const auto& version : *versions) {
    if (version.hsm == token.info().label && version.serial == token.info().serial) {
      seen[version.client_id] = std::max(seen[version.client_id], version.version);
    }
  }
  for (const auto& [client_id, version] : seen) {
    const auto kept = contents->ledgers.find(client_id);
    const auto found = kept == contents->ledgers.end() ? 0 : kept->second.version;
    if (found < version && !contents->errors.contains(client_id)) {
      findings.push_back({.name = "ledger", .ok = false, .text = TooOld(client_id, found, version).message});
    }
  }
}

// An HSM under diagnosis.
struct DiagnosedHsm {
  std::unique_ptr<p11::HsmToken> token;
  std::unique_ptr<x509::Certifier> certifier;
  std::unique_ptr<Ledger> ledger;
};

// Null when something is wrong with it. The findings say what.
std::unique_ptr<DiagnosedHsm> DiagnoseHsm(const Config& config, std::size_t rank, p11::Modules& modules,
                                          std::vector<Finding>& findings) {
  auto hsm = OpenHsm(config, rank, modules, [&](const char* step, const Result<std::string>& found) {
    findings.push_back({.name = step, .ok = found.has_value(), .text = found ? *found : found.error().ToString()});
  });
  if (!hsm) {
    return nullptr;
  }
  auto ledger = OpenLedger(config, rank, *hsm->token);
  if (!ledger) {
    findings.push_back({.name = "ledger", .ok = false, .text = ledger.error().ToString()});
    return nullptr;
  }
  return std::make_unique<DiagnosedHsm>(std::move(hsm->token), std::move(hsm->certifier), std::move(*ledger));
}

// Each server of the token may have a certificate of its own, so nothing here invites to remove a key.
Finding UnusedTlsKey(const TokenKey& key) {
  const auto kid = jws::JwkThumbprint(key.public_key);
  return {.name = "tls",
          .ok = true,
          .text = "key " + kid + " (CKA_ID " + Hex(key.id) +
                  ") on the token is not that of tls.certificate: it may be the key of another server of this token, "
                  "whose TLS fails without it, or one that this server had before: ask those who run the others "
                  "before you remove it",
          .kid = kid,
          .warns = true};
}

// Authorities that expire within 30 days or have expired, and CRLs that are out of date. Not a fault: others may still
// vouch for callers.
void DiagnoseExpiryOfTrust(const TlsConfig& tls, const x509::Trust& trust, Time now, std::vector<Finding>& findings) {
  const auto warn = [&](const std::string& text) {
    findings.push_back({.name = "tls", .ok = true, .text = text, .warns = true});
  };
  const Time expiry{std::chrono::seconds(trust.authorities_until())};
  if (expiry - now < kExpiryWarning) {
    warn(tls.client_ca + ": an authority " + (expiry < now ? "expired" : "expires") + " on " + Rfc3339(expiry) + " (" +
         Relative(expiry, now) + "): its callers are refused from then on");
  }
  if (const auto until = trust.crls_until(); until && Time(std::chrono::seconds(*until)) < now) {
    warn(tls.crl_directory + ": an authority's CRL is out of date since " +
         Rfc3339(Time(std::chrono::seconds(*until))) + ": callers that it certified are refused");
  }
}

// Checks TLS as a start of the server does. `token` is that of tls.hsm.
void DiagnoseTls(const TlsConfig& tls, Token& token, Time now, std::vector<Finding>& findings) {
  constexpr std::size_t kLargestFile = std::size_t{8} << 20U;
  const auto add = [&](const std::string& file, const Status& well, const std::string& text) {
    findings.push_back(
        {.name = "tls", .ok = well.has_value(), .text = file + ": " + (well ? text : well.error().ToString())});
  };
  const auto chain = x509::ReadRegularFile(tls.certificate, kLargestFile);
  const auto key = chain ? FindTlsKey(token, *chain) : std::unexpected(chain.error());
  add(tls.certificate, key ? Status() : std::unexpected(key.error()),
      key ? "key " + jws::JwkThumbprint(key->public_key) + " of this certificate is on the token" : "");
  if (const auto leaf = chain ? x509::ParsePem(*chain) : std::unexpected(chain.error()); leaf) {
    const bool valid = leaf->not_before <= now && now <= leaf->not_after;
    findings.push_back({.name = "tls",
                        .ok = valid,
                        .text = "certificate valid from " + Rfc3339(leaf->not_before) + " to " +
                                Rfc3339(leaf->not_after) + " (" + Relative(leaf->not_after, now) + ")",
                        .warns = leaf->not_after - now < kExpiryWarning});
  }
  if (const auto keys = key ? FindTlsKeys(token) : std::unexpected(key.error()); keys) {
    for (const auto& each : *keys) {
      if (each.id != key->id) {
        findings.push_back(UnusedTlsKey(each));
      }
    }
  }
  const auto authorities = x509::ReadRegularFile(tls.client_ca, kLargestFile);
  const auto trust =
      authorities ? x509::Trust::Load(*authorities, tls.crl_directory) : std::unexpected(authorities.error());
  add(tls.client_ca, trust ? Status() : std::unexpected(trust.error()), "these authorities can vouch for callers");
  if (trust) {
    DiagnoseExpiryOfTrust(tls, *trust, now, findings);
  }
}

void DiagnoseCopy(const KeyRing& ring, const KeyRing& originals, const std::string& client_id, const std::string& hsm,
                  const std::string& name, std::vector<Finding>& findings) {
  const auto original = originals.SigningKeyOf(client_id);
  const auto entry = original ? ring.Find(client_id, (*original)->kid) : std::unexpected(original.error());
  const bool whole = entry && entry->key;
  findings.push_back({.name = name,
                      .ok = whole,
                      .text = !entry  ? entry.error().ToString()
                              : whole ? "the copy of key " + entry->key->kid + " signed, and its signature verified"
                              : entry->flaw ? entry->flaw->ToString()
                                            : "HSM '" + hsm + "' has no copy of key " + (*original)->kid +
                                                  ": no HSM signs for this client while the first HSM is away"});
}

// Lists the flaws of every key, also of keys that do not sign now.
void DiagnoseFlaws(const KeyRing& ring, const std::string& client_id, const std::string& name,
                   std::vector<Finding>& findings) {
  for (const auto known = ring.Snapshot(); const auto& entry : known->at(client_id).keys) {
    for (const auto* flaw : {&entry.flaw, &entry.certificate_flaw}) {
      if (*flaw) {
        findings.push_back({.name = name, .ok = false, .text = (*flaw)->ToString(), .kid = entry.record.kid});
      }
    }
  }
}

// Tries the provider with the client's key. Null: the client has none that signs. No fault either way: the provider
// only comes first when certificates and requests are signed.
void DiagnoseProvider(const DiagnosedHsm& hsm, const SigningKey* key, const std::string& name,
                      std::vector<Finding>& findings) {
  std::string text = "not tried: the client has no key that signs";
  bool warns = false;
  if (key != nullptr) {
    const auto tried = hsm.certifier->TryProvider(
        {.token = hsm.token.get(), .id = key->id, .public_key = key->public_key, .algorithm = key->algorithm});
    warns = !tried;
    text = tried ? "signs rightly with key " + key->kid
                 : "does not sign with key " + key->kid + ": " + tried.error().ToString() +
                       "; certificates and requests are signed through our own session";
  }
  findings.push_back({.name = name,
                      .ok = true,
                      .text = "pkcs11-provider " + text,
                      .kid = key == nullptr ? "" : key->kid,
                      .warns = warns});
}

std::vector<KeyRecord> RecordsIn(const KeyRing& ring, const std::string& client_id) {
  const auto snapshot = ring.Snapshot();
  const auto keys = snapshot->find(client_id);
  return keys == snapshot->end() ? std::vector<KeyRecord>() : ScheduleOf(keys->second);
}

// What others can change decides who may sign, with what, and whom the server believes.
void DiagnoseFiles(const Config& config, const std::string& path, std::vector<Finding>& findings) {
  std::vector<std::pair<std::string, std::string>> files = {{"configuration", path}};
  for (const auto& hsm : config.hsms) {
    files.emplace_back("module", hsm.module_path());
    for (const auto& [name, value] : hsm.environment) {
      files.emplace_back(name, value);
    }
  }
  for (const auto& client : config.clients) {
    if (client.tokens) {
      files.emplace_back("tokens.ca_file of client " + client.client_id, client.tokens->ca_file);
    }
  }
  if (config.tls) {
    files.emplace_back("tls.client_ca", config.tls->client_ca);
  }
  std::set<std::string> looked_at;
  for (const auto& [name, file] : files) {
    if (!x509::CheckRegularFile(file) || !looked_at.insert(file).second) {
      continue;  // others tell of a file that is not there
    }
    if (const auto trusted = CheckTrustedFile(file); !trusted) {
      findings.push_back({.name = "files", .ok = true, .text = name + ": " + trusted.error().message, .warns = true});
    }
  }
}

// Puts findings without a heading under that of their client, of TLS, or `heading`.
void Group(std::vector<Finding>& findings, const std::string& heading) {
  for (auto& finding : findings) {
    if (finding.group.empty()) {
      finding.group = finding.name.starts_with("client ") ? finding.name : finding.name == "tls" ? "TLS" : heading;
    }
  }
}

std::string HeadingOf(const DiagnosedHsm* hsm, std::size_t rank, const Config& config) {
  return hsm != nullptr            ? "HSM " + hsm->token->info().label
         : config.hsms.size() == 1 ? "HSM"
                                   : "HSM number " + std::to_string(rank + 1);
}

// `first` is the first HSM, which has the original of each copied key; null: `hsm` is the first.
void DiagnoseClient(const DiagnosedHsm& hsm, const DiagnosedHsm* first, const Client& client, Time now,
                    std::vector<Finding>& findings) {
  const auto name = "client " + client.client_id;
  auto& token = *hsm.token;
  auto& ledger = *hsm.ledger;
  const auto clock = [now] { return now; };
  if (first != nullptr && client.binding == Binding::kCertificate) {
    const auto originals = KeyRing::Load(*first->token, *first->ledger, {client}, clock, x509::RandomOctets);
    const auto ring = originals ? KeyRing::Load(token, ledger, {client}, clock, x509::RandomOctets, originals->get())
                                : std::unexpected(originals.error());
    if (ring) {
      DiagnoseCopy(**ring, **originals, client.client_id, token.info().label, name, findings);
    } else {
      findings.push_back({.name = name, .ok = false, .text = ring.error().ToString()});
    }
    return;
  }
  const auto& algorithm = *client.algorithm;
  findings.push_back(
      {.name = name,
       .ok = token.Supports(algorithm),
       .text = std::string(algorithm.name) + ": the token " +
               (token.Supports(algorithm) ? "makes keys for it and signs with " + token.MechanismOf(algorithm)
                                          : "lacks the mechanism; choose another algorithm")});
  const auto ring = KeyRing::Load(token, ledger, {client}, clock, x509::RandomOctets);
  const auto records = ring ? RecordsIn(**ring, client.client_id) : std::vector<KeyRecord>();
  const auto contents = token.Read({client.client_id}, AdoptedIds(records));
  for (std::size_t i = 0; contents && i < contents->keys.size(); ++i) {
    const auto& key = contents->keys[i];
    const auto record = std::ranges::find(records, key.id, &KeyRecord::id);
    DiagnoseAttributes(key, record != records.end() && record->origin == KeyOrigin::kImported, name, findings);
  }
  const auto key = ring ? (*ring)->SigningKeyOf(client.client_id) : std::unexpected(ring.error());
  if (ring) {
    DiagnoseFlaws(**ring, client.client_id, name, findings);
  }
  const bool keyless = ring && !(*ring)->Find(client.client_id, {}) && (*ring)->BrokenLedgers()->empty();
  findings.push_back({.name = name,
                      .ok = key.has_value(),
                      .text = key ? "key " + (*key)->kid + " (" + std::string((*key)->algorithm->name) +
                                        ") signed, and its signature verified"
                              : first != nullptr && keyless
                                  ? "HSM '" + token.info().label +
                                        "' has no key that signs for it: assertionctl key generate --client-id " +
                                        QuotedForShell(client.client_id) + " --hsm " +
                                        QuotedForShell(token.info().label)
                                  : key.error().ToString(),
                      .kid = key ? (*key)->kid : ""});
  if (const auto waits_for = key ? WaitsFor(**key, client.profile) : ""; !waits_for.empty()) {
    findings.push_back({.name = name,
                        .ok = false,
                        .text = "key " + (*key)->kid + " makes no assertion yet: it waits for " + waits_for,
                        .kid = (*key)->kid});
  }
  DiagnoseProvider(hsm, key ? key->get() : nullptr, name, findings);
  if (key) {
    DiagnoseCertificate(**key, now, client.sign_with_expired_certificate, name, findings);
  }
}

}  // namespace

std::vector<Finding> Diagnose(const Config& config, Time now, const DiagnosisRequest& request) {
  const auto& removal = request.removal;
  std::vector<Finding> findings = {DiagnoseClock(now)};
  DiagnoseFiles(config, request.config_path, findings);
  Group(findings, "machine");
  p11::Modules modules;
  std::vector<std::unique_ptr<DiagnosedHsm>> opened;
  for (std::size_t rank = 0; rank < config.hsms.size(); ++rank) {
    opened.push_back(DiagnoseHsm(config, rank, modules, findings));
    auto* hsm = opened.back().get();
    const auto heading = HeadingOf(hsm, rank, config);
    Group(findings, heading);
    if (hsm == nullptr) {
      continue;
    }
    if (removal.client_id == kTrialKeyLabel) {
      RemoveLeftOvers(*hsm->token, findings);
    } else if (!removal.client_id.empty()) {
      Remove(*hsm->token, *hsm->ledger, removal, findings);
    }
    const bool first = opened.front().get() == hsm;
    if (!first && !opened.front()) {
      findings.push_back(
          {.name = "keys", .ok = false, .text = "not checked: without the first HSM, copies cannot be recognised"});
      Group(findings, heading);
      continue;
    }
    if (config.tls && config.RankOf(config.tls->hsm) == rank) {
      DiagnoseTls(*config.tls, *hsm->token, now, findings);
    }
    DiagnoseLedgers(*hsm->token, *hsm->ledger, config.clients, config.PendingPath(rank, hsm->token->info().serial),
                    findings);
    DiagnoseRollback(*hsm->token, *hsm->ledger, config.audit, findings);
    DiagnoseStrays(*hsm->token, *hsm->ledger, config.clients, !first, request.config_path, findings);
    DiagnoseLeftOvers(*hsm->token, request.config_path, findings);
    if (request.tries) {
      TryHsm(*hsm->token, *hsm->certifier, config, findings);
    }
    for (const auto& client : config.clients) {
      if (!request.client_id.empty() && request.client_id != client.client_id) {
        continue;
      }
      DiagnoseClient(*hsm, first ? nullptr : opened.front().get(), client, now, findings);
    }
    Group(findings, heading);
  }
  std::erase_if(findings, [&](const auto& finding) {
    return !request.client_id.empty() && finding.name.starts_with("client ") &&
           finding.name != "client " + request.client_id;
  });
  return findings;
}

}  // namespace assertion::cli
