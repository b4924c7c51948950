#include "service/change_summary.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "assertion/clock.h"
#include "assertion/key_record.h"
#include "assertion/v1/key_admin.pb.h"
#include "jws/thumbprint.h"
#include "x509/chain.h"

namespace assertion::service {
namespace {

constexpr std::size_t kMostOctets = 128;

// Of what a caller chose: cut, and without control characters.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kMostOctets));
  std::ranges::replace_if(shown, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return shown;
}

class Summary {
 public:
  void Add(const std::string& part) { text_.append(text_.empty() ? "" : ", ").append(part); }

  void AddInstant(bool given, const google::protobuf::Timestamp& timestamp, const char* name) {
    if (given) {
      const Time time{std::chrono::seconds(timestamp.seconds())};
      Add(std::string(name) + " " + (time == kNever ? "never" : Rfc3339(time) + " (when approved, if that is later)"));
    }
  }

  template <typename Request>
  void AddNewKey(const Request& request) {
    Add("algorithm " +
        (request.algorithm().empty() ? "as the client's configuration says" : Shown(request.algorithm())));
    if (request.key_bits() != 0) {
      Add(std::to_string(request.key_bits()) + " bits");
    }
    if (!request.common_name().empty()) {
      Add("common name \"" + Shown(request.common_name()) + "\"");
    }
    if (request.has_certificate_validity()) {
      Add("certificate for " +
          std::to_string(
              std::chrono::floor<std::chrono::days>(std::chrono::seconds(request.certificate_validity().seconds()))
                  .count()) +
          " days");
    }
    AddHsm(request.hsm());
  }

  void AddHsm(const std::string& hsm) {
    if (!hsm.empty()) {
      Add("on HSM \"" + Shown(hsm) + "\"");
    }
  }

  void AddCertificates(std::string_view certificates) {
    const auto chain = x509::ParseChain(certificates);
    if (!chain || chain->empty()) {
      Add("certificates that cannot be read");
      return;
    }
    Add(std::to_string(chain->size()) + (chain->size() == 1 ? " certificate" : " certificates") +
        ", the key's x5t#S256 " + jws::Sha256Thumbprint(chain->front().der) + ", valid until " +
        Rfc3339(chain->front().not_after));
  }

  void AddChange(const v1::Change& change, bool accepts) {
    Add("decided on version " + std::to_string(change.expected_version()));
    if (accepts) {
      Add("ACCEPTED although a later version was seen: keys that were revoked since may sign again");
    } else if (!change.force_client_id().empty()) {
      Add("FORCED: though the client is left without a key that signs, or its binding's times are broken");
    }
  }

  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

template <typename Request>
std::string Summarize(const std::string& octets) {
  Request request;
  if (!request.ParseFromString(octets)) {
    return "a request that cannot be read";
  }
  Summary summary;
  if constexpr (requires { request.key_bits(); }) {
    summary.AddNewKey(request);
  }
  if constexpr (requires { request.certificates(); }) {
    summary.AddCertificates(request.certificates());
  }
  if constexpr (requires { request.publish_from(); }) {
    summary.AddInstant(request.has_publish_from(), request.publish_from(), "publish_from");
  }
  if constexpr (requires { request.sign_from(); }) {
    summary.AddInstant(request.has_sign_from(), request.sign_from(), "sign_from");
  }
  if constexpr (requires { request.sign_until(); }) {
    summary.AddInstant(request.has_sign_until(), request.sign_until(), "sign_until");
    summary.AddInstant(request.has_publish_until(), request.publish_until(), "publish_until");
  }
  constexpr bool kAccepts = std::is_same_v<Request, v1::AcceptLedgerRequest>;
  if constexpr (kAccepts) {
    summary.AddHsm(request.hsm());
  }
  summary.AddChange(request.change(), kAccepts);
  return summary.Take();
}

}  // namespace

std::string SummaryOf(const PendingChange& change) {
  if (change.method == "GenerateKey") {
    return Summarize<v1::GenerateKeyRequest>(change.request);
  }
  if (change.method == "RotateKey") {
    return Summarize<v1::RotateKeyRequest>(change.request);
  }
  if (change.method == "ImportCertificate") {
    return Summarize<v1::ImportCertificateRequest>(change.request);
  }
  if (change.method == "ScheduleKey") {
    return Summarize<v1::ScheduleKeyRequest>(change.request);
  }
  if (change.method == "RevokeKey") {
    return Summarize<v1::RevokeKeyRequest>(change.request);
  }
  if (change.method == "DestroyKey") {
    return Summarize<v1::DestroyKeyRequest>(change.request);
  }
  if (change.method == "AcceptLedger") {
    return Summarize<v1::AcceptLedgerRequest>(change.request);
  }
  return "a method that this server does not know";
}

}  // namespace assertion::service
