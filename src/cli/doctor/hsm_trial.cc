#include "cli/doctor/hsm_trial.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "assertion/client.h"
#include "cli/command_line.h"
#include "keys/data_trial.h"
#include "keys/machine_lock.h"
#include "keys/proof.h"
#include "x509/openssl.h"
#include "x509/verifier.h"

namespace assertion::cli {
namespace {

// Adds the findings of one subject.
class Subject {
 public:
  Subject(std::string name, std::vector<Finding>& findings) : name_(std::move(name)), findings_(findings) {}

  void Add(bool ok, std::string text) { findings_.push_back({.name = name_, .ok = ok, .text = std::move(text)}); }
  void Warn(std::string text) {
    findings_.push_back({.name = name_, .ok = true, .text = std::move(text), .warns = true});
  }
  void Add(const Status& status, std::string text) {
    Add(status.has_value(), status ? std::move(text) : status.error().ToString());
  }

 private:
  const std::string name_;
  std::vector<Finding>& findings_;
};

// Those of the clients, and that of assertiond's own keys.
std::vector<const Algorithm*> AlgorithmsOf(const Config& config) {
  std::vector<const Algorithm*> algorithms;
  for (const auto& algorithm : kAlgorithms) {
    if (&algorithm == &kAlgorithms.front() ||
        std::ranges::find(config.clients, &algorithm, &Client::algorithm) != config.clients.end()) {
      algorithms.push_back(&algorithm);
    }
  }
  return algorithms;
}

void TryCustody(p11::HsmToken& token, const Algorithm& algorithm, bool accepted, std::vector<Finding>& findings) {
  Subject subject("custody " + std::string(algorithm.key_type().name), findings);
  const auto lock = MachineLock::TakeFor(token);
  const auto trial = lock ? token.TryCustody(algorithm) : std::unexpected(lock.error());
  if (!trial) {
    subject.Add(false, "not tried: " + trial.error().ToString());
    return;
  }
  for (const auto& way : trial->ways) {
    const bool let_through = way.outcome == WayOutcome::kLetThrough;
    const auto text = way.name + ": " + std::string(OutcomeName(way.outcome)) + ", " + way.answer +
                      (!let_through ? ""
                       : accepted   ? "; the operator accepts it (accept_unshown)"
                                    : "; keys are made there only with custody in accept_unshown of the field hsm");
    if (let_through && accepted) {
      subject.Warn(text);
    } else {
      subject.Add(!let_through, text);
    }
  }
  if (!trial->left_behind.empty()) {
    subject.Add(false, "the throw-away key stayed: " + trial->left_behind);
  }
}

std::string AttributesText(const TokenKey& key) {
  std::string text;
  for (const auto& attribute : key.attributes) {
    text.append(text.empty() ? "" : ", ")
        .append(attribute.name)
        .append(!attribute.value   ? " not shown"
                : *attribute.value ? " true"
                                   : " false");
  }
  return text;
}

// Some signatures of one session, each verified; the median of their times.
Result<std::chrono::duration<double, std::milli>> MeasureSignature(p11::HsmToken& token, const TokenKey& key,
                                                                   const Algorithm& algorithm) {
  ASSIGN_OR_RETURN(const auto verifier, x509::Verifier::New(key.public_key, algorithm));
  ASSIGN_OR_RETURN(const auto session, token.OpenSigningSession());
  std::array<std::chrono::duration<double, std::milli>, 9> times{};
  for (auto& time : times) {
    ASSIGN_OR_RETURN(const auto input, ProofInput(x509::RandomOctets));
    const auto begun = std::chrono::steady_clock::now();
    ASSIGN_OR_RETURN(const auto signature, session->Sign(key.id, algorithm, input));
    time = std::chrono::steady_clock::now() - begun;
    if (!verifier.Verify(input, signature)) {
      return Fail(Code::kKeyUnproven, "the signature does not verify with the public key that the token shows",
                  "C_Sign");
    }
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

void TryKey(p11::HsmToken& token, const x509::Certifier& certifier, const TokenKey& key, const Algorithm& algorithm,
            Subject& subject) {
  subject.Add(true, "made a key pair; it reads back " + AttributesText(key));
  const auto median = MeasureSignature(token, key, algorithm);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", median ? median->count() : 0.0);
  subject.Add(median ? Status() : std::unexpected(median.error()),
              "signs with " + token.MechanismOf(algorithm) + ", and the signatures verify; a signature takes " +
                  text.data() + " ms (median of 9)");
  const auto provided =
      certifier.TryProvider({.token = &token, .id = key.id, .public_key = key.public_key, .algorithm = &algorithm});
  if (provided) {
    subject.Add(true, "pkcs11-provider signs rightly");
  } else {
    subject.Warn("pkcs11-provider does not sign: " + provided.error().ToString() +
                 "; certificates and requests are signed through our own session");
  }
}

void TryAlgorithm(p11::HsmToken& token, const x509::Certifier& certifier, const Algorithm& algorithm,
                  std::vector<Finding>& findings) {
  Subject subject("try " + std::string(algorithm.name), findings);
  const auto id = RandomId(x509::RandomOctets);
  if (!id) {
    subject.Add(false, id.error().message);
    return;
  }
  const auto lock = MachineLock::TakeFor(token);
  const auto key = lock ? token.GenerateKeyPair({.label = std::string(kTrialKeyLabel),
                                                 .id = *id,
                                                 .algorithm = &algorithm,
                                                 .bits = algorithm.default_key_bits()})
                        : std::unexpected(lock.error());
  if (!key) {
    subject.Add(false, key.error().ToString());
    return;
  }
  TryKey(token, certifier, *key, algorithm, subject);
  subject.Add(token.DestroyKey(*id), "destroyed the key pair");
}

void TryDataObject(p11::HsmToken& token, bool needed, std::vector<Finding>& findings) {
  Subject subject("try data", findings);
  const auto tried = TryData(token, kUsualLedgerOctets, x509::RandomOctets);
  if (tried || needed) {
    subject.Add(tried, "stored, read and destroyed a private data object of " + std::to_string(kUsualLedgerOctets) +
                           " octets, which is a ledger of 8 keys");
  } else {
    subject.Add(
        true, "keeps no private data objects, and needs none: the ledger is in a file (" + tried.error().detail + ")");
  }
}

// Beside those that a server has open.
void TrySessions(p11::HsmToken& token, const Config& config, std::vector<Finding>& findings) {
  Subject subject("try sessions", findings);
  const auto wanted = config.sessions.value_or(std::max(2U, std::thread::hardware_concurrency()));
  std::vector<std::unique_ptr<SigningSession>> open;
  while (open.size() < wanted) {
    auto session = token.OpenSigningSession();
    if (!session) {
      subject.Add(false, "opened " + std::to_string(open.size()) + " of " + std::to_string(wanted) +
                             " sessions: " + session.error().ToString() +
                             "; give the field sessions a number that the HSM has left, or end other users of the HSM");
      return;
    }
    open.push_back(std::move(*session));
  }
  subject.Add(true, "opened " + std::to_string(wanted) + " sessions at once, as many as " +
                        (config.sessions ? "the field sessions says" : "the server begins with"));
}

struct LeftOvers {
  std::set<Bytes> keys;  // CKA_IDs
  std::vector<TokenData> data;
};

Result<LeftOvers> FindLeftOvers(p11::HsmToken& token) {
  LeftOvers found;
  ASSIGN_OR_RETURN(const auto contents, token.Read({std::string(kTrialKeyLabel)}));
  for (const auto& key : contents.keys) {
    found.keys.insert(key.id);
  }
  for (const auto& half : contents.public_keys) {
    if (half.label == kTrialKeyLabel) {
      found.keys.insert(half.id);
    }
  }
  ASSIGN_OR_RETURN(found.data, token.FindData(kTrialApplication, ""));
  return found;
}

}  // namespace

void TryHsm(p11::HsmToken& token, const x509::Certifier& certifier, const Config& config,
            std::vector<Finding>& findings) {
  const bool accepted = token.Describe().accepts_unproven_custody;
  std::set<const KeyType*> tried;
  for (const auto* algorithm : AlgorithmsOf(config)) {
    if (!token.Supports(*algorithm)) {
      continue;  // the findings of the clients say so
    }
    if (tried.insert(&algorithm->key_type()).second) {
      TryCustody(token, *algorithm, accepted, findings);
    }
    TryAlgorithm(token, certifier, *algorithm, findings);
  }
  for (const auto& attribute : token.not_asked()) {
    findings.push_back(
        {.name = "try template",
         .ok = true,
         .text = "the token takes no " + attribute + " in the template of a new key: keys do without it"});
  }
  TryDataObject(token, config.ledger_path.empty(), findings);
  TrySessions(token, config, findings);
}

void DiagnoseLeftOvers(p11::HsmToken& token, const std::string& config_path, std::vector<Finding>& findings) {
  Subject subject("left-overs", findings);
  const auto found = FindLeftOvers(token);
  if (!found) {
    subject.Add(false, found.error().ToString());
    return;
  }
  const std::string fate =
      ": an interrupted trial left it, or one is going on right now; assertionctl doctor --config " +
      QuotedForShell(config_path) + " --remove-orphans --client-id " + std::string(kTrialKeyLabel) + " destroys it";
  for (const auto& id : found->keys) {
    subject.Add(false, "throw-away key pair with CKA_ID " + Hex(id) + fate);
  }
  for (const auto& object : found->data) {
    subject.Add(false, "throw-away data object, CKA_APPLICATION '" + std::string(kTrialApplication) + "', label '" +
                           object.label + "'" + fate);
  }
}

void RemoveLeftOvers(p11::HsmToken& token, std::vector<Finding>& findings) {
  Subject subject("left-overs", findings);
  const auto lock = MachineLock::TakeFor(token);  // a trial of this machine may be under way
  const auto found = lock ? FindLeftOvers(token) : std::unexpected(lock.error());
  if (!found) {
    subject.Add(false, "not removed: " + found.error().ToString());
    return;
  }
  for (const auto& id : found->keys) {
    subject.Add(token.DestroyKey(id), "removed throw-away key pair with CKA_ID " + Hex(id));
  }
  for (const auto& object : found->data) {
    subject.Add(token.DestroyObject(object.handle), "removed throw-away data object, label '" + object.label + "'");
  }
  if (found->keys.empty() && found->data.empty()) {
    subject.Add(true, "none to remove");
  }
}

}  // namespace assertion::cli
