#include "keys/change_summary.h"

#include <chrono>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "assertion/clock.h"
#include "assertion/foreign_text.h"
#include "assertion/key_record.h"
#include "jws/thumbprint.h"
#include "x509/chain.h"

namespace assertion {
namespace {

constexpr std::size_t kMostOctets = 128;  // of a text that a caller chose

class Summary {
 public:
  void Add(const std::string& part) { text_.append(text_.empty() ? "" : ", ").append(part); }

  void AddInstant(const char* name, std::optional<Time> time) {
    if (time) {
      Add(std::string(name) + " " + (*time == kNever ? "never" : Rfc3339(*time) + " (when made, if that is later)"));
    }
  }

  void AddInstants(const Instants& instants) {
    AddInstant("publish_from", instants.publish_from);
    AddInstant("sign_from", instants.sign_from);
    AddInstant("sign_until", instants.sign_until);
    AddInstant("publish_until", instants.publish_until);
  }

  void AddNewKey(const KeyWishes& key) {
    Add("algorithm " +
        (key.algorithm.empty() ? "as the client's configuration says" : Shown(key.algorithm, kMostOctets, ",")));
    if (key.bits != 0) {
      Add(std::to_string(key.bits) + " bits");
    }
    if (!key.common_name.empty()) {
      Add("common name " + Quoted(key.common_name, kMostOctets));
    }
    if (key.certificate_validity) {
      Add("certificate for " +
          std::to_string(std::chrono::floor<std::chrono::days>(*key.certificate_validity).count()) + " days");
    }
    AddHsm(key.hsm);
  }

  void AddHsm(const std::string& hsm) {
    if (!hsm.empty()) {
      Add("on HSM " + Quoted(hsm, kMostOctets));
    }
  }

  void AddCertificates(std::string_view certificates) {
    if (certificates.empty()) {
      Add("no certificate given");
      return;
    }
    const auto chain = x509::ParseChain(certificates);
    if (!chain || chain->empty()) {
      Add("certificates that cannot be read");
      return;
    }
    Add(std::to_string(chain->size()) + (chain->size() == 1 ? " certificate" : " certificates") +
        ", the key's x5t#S256 " + jws::Sha256Thumbprint(chain->front().der) + ", valid until " +
        Rfc3339(chain->front().not_after));
  }

  void AddDecision(const ChangeRequest& change) {
    Add("decided on version " + std::to_string(change.expected_version));
    if (change.forced) {
      Add("FORCED: also if that leaves the client without a key that signs, or breaks its binding's times");
    }
  }

  void AddAcceptance(const ChangeRequest& change, std::int64_t seen) {
    Add("decided on version " + std::to_string(change.expected_version));
    Add("TO BE ACCEPTED although " + (seen == 0 ? "a later version" : "version " + std::to_string(seen)) +
        " was seen: keys that were revoked since may sign again");
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

template <typename Change>
std::string Summarize(const Change& one, std::int64_t seen = 0) {
  Summary summary;
  if constexpr (requires { one.cka_id; }) {
    summary.Add("the pair on the token with CKA_ID " + Hex(one.cka_id) + ", made by other means");
  }
  if constexpr (requires { one.key; }) {
    summary.AddNewKey(one.key);
  }
  if constexpr (requires { one.certificates; }) {
    summary.AddCertificates(one.certificates);
  }
  if constexpr (requires { one.sign_from; }) {
    summary.AddInstant("sign_from", one.sign_from);
  }
  if constexpr (requires { one.instants; }) {
    summary.AddInstants(one.instants);
  }
  if constexpr (requires { one.hsm; }) {
    summary.AddHsm(one.hsm);
  }
  if constexpr (std::is_same_v<Change, LedgerAcceptance>) {
    summary.AddAcceptance(one.change, seen);
  } else {
    summary.AddDecision(one.change);
  }
  return summary.text();
}

}  // namespace

std::string SummaryOf(const KeyChange& change, std::int64_t seen) {
  return std::visit([seen](const auto& one) { return Summarize(one, seen); }, change);
}

std::string SummaryOf(const KeyImport& import) { return Summarize(import); }

}  // namespace assertion
