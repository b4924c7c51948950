#include "cli/key_change.h"

#include <algorithm>
#include <functional>
#include <string>

#include "assertion/key_record.h"
#include "cli/call.h"
#include "cli/key_options.h"
#include "cli/key_text.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

// The version that the change is to be decided on: the one that was named, else the one that the server tells now.
int WithVersion(const Options& options, const std::function<int(std::int64_t)>& act) {
  if (options.change.expected_version) {
    return act(*options.change.expected_version);
  }
  v1::ListKeysRequest request;
  request.set_hsm(options.hsm);
  return Call<v1::ListKeysRequest, v1::ListKeysResponse>(
      options, &Connection::ListKeys, request, [&](const auto& response) {
        const auto version = response.versions().find(options.client_id);
        const auto named = std::ranges::find_if(response.keys(), [&](const v1::Key& key) {
          return key.client_id() == options.client_id && key.kid() == options.kid;
        });
        return act(named != response.keys().end()         ? named->version()
                   : version == response.versions().end() ? 0
                                                          : version->second);
      });
}

// Sends `request` as a change of the client's keys.
template <typename Request, typename Response>
int SendChange(const Options& options, Result<Response> (Connection::*method)(const Request&), Request request,
               const std::function<int(const Response&)>& use) {
  request.set_client_id(options.client_id);
  return WithVersion(options, [&](std::int64_t version) {
    request.mutable_change()->set_expected_version(version);
    request.mutable_change()->set_request_id(options.change.request_id);
    request.mutable_change()->set_force_client_id(options.change.force_client_id);
    return Call<Request, Response>(options, method, request, use);
  });
}

int WriteJson(const nlohmann::ordered_json& json) { return Write("", json.dump(2) + "\n"); }

nlohmann::ordered_json PendingJson(const v1::PendingChange& change) {
  return {{"id", change.id()},
          {"digest", change.digest()},
          {"method", change.method()},
          {"client_id", change.client_id()},
          {"kid", change.kid()},
          {"summary", change.summary()},
          {"requested_by", change.requested_by()},
          {"expires_at", Rfc3339(ToTime(change.expires_at()))}};
}

std::string PendingText(const v1::PendingChange& change) {
  return Printable(change.method()) + (change.kid().empty() ? "" : " of key " + Printable(change.kid())) +
         " of client " + Printable(change.client_id()) + ", asked for by " + Printable(change.requested_by()) + "\n  " +
         Printable(change.summary()) + "\n  until " + Rfc3339(ToTime(change.expires_at())) +
         " another operator may approve it: assertionctl key approve " + change.id() + " --digest=" + change.digest() +
         "\n";
}

int WritePending(const Options& options, const v1::PendingChange& change) {
  return options.json ? WriteJson({{"pending", PendingJson(change)}})
                      : Write("", "nothing has changed yet: " + PendingText(change));
}

int WriteLedger(const Options& options, const v1::AcceptedLedger& ledger) {
  if (options.json) {
    return WriteJson({{"found", ledger.found()}, {"seen", ledger.seen()}, {"version", ledger.version()}});
  }
  return Write("", "the ledger of version " + std::to_string(ledger.found()) + " counts again, as version " +
                       std::to_string(ledger.version()) + "; version " + std::to_string(ledger.seen()) +
                       " was seen before\n  next: revoke again what was revoked since, if anything was: assertionctl "
                       "key list, assertionctl audit show\n");
}

// Writes the key of an answer; `shape` is how a person gets it.
template <typename Response>
std::function<int(const Response&)> WriteKey(const Options& options, std::string (*shape)(const v1::Key&, Time)) {
  return [&options, shape](const Response& response) {
    if constexpr (requires { response.has_pending(); }) {
      if (response.has_pending()) {
        return WritePending(options, response.pending());
      }
    }
    return options.json ? WriteJson(KeyJson(response.key())) : Write("", shape(response.key(), SystemTime()));
  };
}

// Which key comes, which goes and when, and what is left to do where the identity server does not read the JWK Set.
std::string RotationText(const v1::RotateKeyResponse& rotation, Time now) {
  const auto& key = rotation.key();
  const auto named = "--client-id " + key.client_id() + " --kid=" + key.kid();
  const auto sign_from = ToTime(key.sign_from());
  auto text = "new " + KeyLine(key, now);
  if (!rotation.has_predecessor()) {
    return text + "no other key signs now\n";
  }
  const auto& predecessor = rotation.predecessor();
  if (sign_from == kNever) {
    return text + "key " + predecessor.kid() +
           " signs until the new one takes over\n  next: assertionctl certificate get " + named +
           " gives the certificate for the identity server; once it is there, assertionctl key schedule " + named +
           " --sign-from now\n";
  }
  text += "it takes over from key " + predecessor.kid() + " on " + Rfc3339(sign_from) + " (" +
          Relative(sign_from, now) + "); that one is withdrawn on " + InstantText(ToTime(predecessor.publish_until())) +
          "\n";
  return text +
         "  next: nothing where the identity server reads the JWK Set; where it holds one certificate, put the new "
         "one there at that moment: assertionctl certificate get " +
         named + "\n";
}

}  // namespace

int ListPendingChanges(const Options& options) {
  return Call<v1::ListPendingChangesRequest, v1::ListPendingChangesResponse>(
      options, &Connection::ListPendingChanges, {}, [&](const auto& response) {
        nlohmann::ordered_json json = {{"pending", nlohmann::ordered_json::array()}};
        std::string text;
        for (const auto& change : response.changes()) {
          json["pending"].push_back(PendingJson(change));
          text += PendingText(change);
        }
        return options.json ? WriteJson(json) : Write("", text.empty() ? "no change waits\n" : text);
      });
}

int ApproveChange(const Options& options) {
  v1::ApproveChangeRequest request;
  request.set_id(options.change_id);
  request.set_digest(options.change_digest);
  return Call<v1::ApproveChangeRequest, v1::ApproveChangeResponse>(
      options, &Connection::ApproveChange, request, [&](const auto& response) {
        if (response.has_ledger()) {
          return WriteLedger(options, response.ledger());
        }
        if (options.json) {
          return WriteJson({{"key", response.has_key() ? KeyJson(response.key()) : nlohmann::ordered_json()}});
        }
        return Write("", response.has_key() ? KeyText(response.key(), SystemTime()) : "the key is destroyed\n");
      });
}

int WithdrawChange(const Options& options) {
  v1::WithdrawChangeRequest request;
  request.set_id(options.change_id);
  return Call<v1::WithdrawChangeRequest, v1::WithdrawChangeResponse>(
      options, &Connection::WithdrawChange, request,
      [&](const auto& /*response*/) { return Write("", "change " + options.change_id + " is withdrawn\n"); });
}

int GenerateKey(const Options& options) {
  v1::GenerateKeyRequest request;
  FillNewKey(options.new_key, request);
  request.set_hsm(options.hsm);
  return SendChange(options, &Connection::GenerateKey, request, WriteKey<v1::GenerateKeyResponse>(options, KeyLine));
}

int ImportCertificate(const Options& options) {
  auto certificates = ReadText(options.certificate_file);
  if (!certificates) {
    return ReportFile(certificates.error());
  }
  v1::ImportCertificateRequest request;
  request.set_kid(options.kid);
  request.set_certificates(std::move(*certificates));
  return SendChange(options, &Connection::ImportCertificate, request,
                    WriteKey<v1::ImportCertificateResponse>(options, KeyLine));
}

int RotateKey(const Options& options) {
  v1::RotateKeyRequest request;
  FillNewKey(options.new_key, request);
  request.set_hsm(options.hsm);
  if (options.instants.sign_from) {
    *request.mutable_sign_from() = ToTimestamp(*options.instants.sign_from);
  }
  return SendChange<v1::RotateKeyRequest, v1::RotateKeyResponse>(
      options, &Connection::RotateKey, request, [&](const auto& rotation) {
        if (rotation.has_pending()) {
          return WritePending(options, rotation.pending());
        }
        if (!options.json) {
          return Write("", RotationText(rotation, SystemTime()));
        }
        nlohmann::ordered_json json = {{"key", KeyJson(rotation.key())}};
        json["predecessor"] = rotation.has_predecessor() ? KeyJson(rotation.predecessor()) : nlohmann::ordered_json();
        return WriteJson(json);
      });
}

int ScheduleKey(const Options& options) {
  const auto& [publish_from, sign_from, sign_until, publish_until] = options.instants;
  if (!publish_from && !sign_from && !sign_until && !publish_until) {
    return Report(kUsage, "give at least one of --publish-from, --sign-from, --sign-until, --publish-until",
                  "assertionctl key schedule --help");
  }
  v1::ScheduleKeyRequest request;
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
  return SendChange(options, &Connection::ScheduleKey, request, WriteKey<v1::ScheduleKeyResponse>(options, KeyText));
}

int RevokeKey(const Options& options) {
  v1::RevokeKeyRequest request;
  request.set_kid(options.kid);
  return SendChange(options, &Connection::RevokeKey, request, WriteKey<v1::RevokeKeyResponse>(options, KeyText));
}

int DestroyKey(const Options& options) {
  v1::DestroyKeyRequest request;
  request.set_kid(options.kid);
  return SendChange<v1::DestroyKeyRequest, v1::DestroyKeyResponse>(
      options, &Connection::DestroyKey, request, [&](const auto& response) {
        if (response.has_pending()) {
          return WritePending(options, response.pending());
        }
        if (options.json) {
          return WriteJson({{"client_id", options.client_id}, {"kid", options.kid}, {"version", response.version()}});
        }
        return Write("", "key " + options.kid + " of client " + options.client_id +
                             " is destroyed: its key pair and certificate are off the token for good\n");
      });
}

int AcceptLedger(const Options& options) {
  v1::AcceptLedgerRequest request;
  request.set_hsm(options.hsm);
  return SendChange<v1::AcceptLedgerRequest, v1::AcceptLedgerResponse>(
      options, &Connection::AcceptLedger, request, [&](const auto& response) {
        return response.has_pending() ? WritePending(options, response.pending())
                                      : WriteLedger(options, response.ledger());
      });
}

}  // namespace assertion::cli
