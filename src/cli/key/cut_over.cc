#include "cli/key/cut_over.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "assertion/bytes.h"
#include "cli/call.h"
#include "cli/command_line.h"
#include "cli/instant.h"
#include "cli/key/change.h"
#include "cli/key/key_text.h"
#include "cli/key/keys_of_client.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/wso2/application.h"
#include "oauth/token_request.h"

namespace assertion::cli {
namespace {

// Ignores signals: a cut-over that is interrupted halfway locks the client out. Every wait in it has a limit.
class Uninterrupted {
 public:
  Uninterrupted() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
      std::signal(signal, SIG_IGN);
    }
  }
  Uninterrupted(const Uninterrupted&) = delete;
  Uninterrupted& operator=(const Uninterrupted&) = delete;
  ~Uninterrupted() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
      std::signal(signal, SIG_DFL);
    }
  }
};

// Why an attempt failed, "" for success, and the exit status for that.
struct Failure {
  std::string why;
  int status = kRefusedByIdentityServer;
};

class CutOver {
 public:
  CutOver(const RotateKeyOptions& options, Connection connection, Wso2Application application,
          Wso2Certificate old_certificate)
      : options_(options),
        connection_(std::move(connection)),
        application_(std::move(application)),
        old_certificate_(std::move(old_certificate)) {}

  int Run() {
    const auto certificate = PrepareKey();
    if (!certificate) {
      return ReportChange(certificate.error(), options_.client_id, false);
    }
    const Uninterrupted uninterrupted;
    const auto began = std::chrono::steady_clock::now();
    const auto failure = UploadProveSwitch(*certificate);
    const auto milliseconds = [&] {
      return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    };
    if (failure.why.empty()) {
      return ReportSwitched(milliseconds());
    }
    const auto back = RollBack();
    return back ? ReportRolledBack(failure, milliseconds()) : ReportLockedOut(failure, back.error());
  }

 private:
  // Generates a key, or finds the one of an earlier attempt that --kid names; publishes it and returns its certificate.
  Result<Wso2Certificate> PrepareKey() {
    RETURN_IF_ERROR(options_.publish.kid.empty() ? MakeKey() : FindKey());
    if (key_.state() == v1::KEY_STATE_STAGED) {
      auto request = ScheduleRequest();
      *request.mutable_publish_from() = ToTimestamp(SystemTime());
      const auto published = connection_.ScheduleKey(request);
      RETURN_IF_ERROR(CheckDone(published));
      key_ = published->key();
    }
    v1::GetCertificateRequest request;
    request.set_client_id(options_.client_id);
    request.set_kid(key_.kid());
    ASSIGN_OR_RETURN(const auto response, connection_.GetCertificate(request));
    return Wso2Certificate::FromDer(AsBytes(response.der()));
  }

  Result<v1::ListKeysResponse> ListKeys() {
    v1::ListKeysRequest request;
    request.set_hsm(options_.hsm);
    return connection_.ListKeys(request);
  }

  Status MakeKey() {
    v1::RotateKeyRequest request;
    request.set_client_id(options_.client_id);
    request.set_hsm(options_.hsm);
    FillNewKey(options_.new_key, request);
    auto keys = ListKeys();
    if (!keys) {
      return std::unexpected(keys.error().code == Code::kPermissionDenied
                                 ? RefusalOfChange(connection_, &Connection::RotateKey, request, keys.error())
                                 : keys.error());
    }
    RETURN_IF_ERROR(KeepClient(*keys, options_.client_id));
    for (const auto& key : keys->keys()) {
      if (key.state() == v1::KEY_STATE_SIGNING) {
        predecessor_ = key.kid();
      }
    }
    if (predecessor_.empty()) {
      return Fail(Code::kFailedPrecondition, "client " + options_.client_id + " has no key that signs");
    }
    request.mutable_change()->set_expected_version(keys->versions().at(options_.client_id));
    const auto rotated = Ask(connection_, &Connection::RotateKey, request);
    RETURN_IF_ERROR(CheckDone(rotated));
    key_ = rotated->key();
    return {};
  }

  // Reads the present state of the key, and which key signs now.
  Status FindKey() {
    ASSIGN_OR_RETURN(const auto keys, ListKeys());
    ASSIGN_OR_RETURN(const auto wanted, key_.kid().empty()
                                            ? WholeKid(connection_, options_.client_id, options_.publish.kid)
                                            : Result<std::string>(key_.kid()));
    bool found = false;
    for (const auto& key : keys.keys()) {
      if (key.client_id() == options_.client_id && key.kid() == wanted) {
        key_ = key;
        found = true;
      } else if (key.client_id() == options_.client_id && key.state() == v1::KEY_STATE_SIGNING) {
        predecessor_ = key.kid();
      }
    }
    return found ? Status() : Fail(Code::kFailedPrecondition, options_.client_id + " has no key " + wanted);
  }

  v1::ScheduleKeyRequest ScheduleRequest() const {
    v1::ScheduleKeyRequest request;
    request.set_client_id(options_.client_id);
    request.set_kid(key_.kid());
    request.mutable_change()->set_expected_version(key_.version());
    return request;
  }

  // Withdraws a change that waits for a second operator: this verb cannot wait for the approval.
  template <typename Response>
  Status CheckDone(const Result<Response>& response) {
    if (!response || !response->has_pending()) {
      return response ? Status() : std::unexpected(response.error());
    }
    v1::WithdrawChangeRequest request;
    request.set_id(response->pending().id());
    const auto withdrawn = connection_.WithdrawChange(request);
    return Fail(
        Code::kFailedPrecondition,
        "the server's two_person_rule asks a second operator to approve " + Printable(response->pending().method()) +
            (std::is_same_v<Response, v1::RotateKeyResponse>
                 ? ": nothing was made or uploaded. Rotate without --publish and have it approved (key approve); then "
                   "the same command with --kid= of the new key goes on"
                 : ": rotate without --publish, then key schedule and key approve") +
            (withdrawn ? "" : "; a change still waits: key pending"));
  }

  Failure UploadProveSwitch(const Wso2Certificate& certificate) {
    if (const auto published = application_.Publish(certificate); !published) {
      return {.why = "the new certificate was not taken: " + published.error().message};
    }
    // assertiond does not prove a key that signs already, as after an earlier attempt.
    proven_ = key_.state() != v1::KEY_STATE_SIGNING;
    if (proven_) {
      if (auto failure = Prove(); !failure.why.empty()) {
        return failure;
      }
    }
    if (const auto switched = Switch(); !switched) {
      return {.why = "assertiond did not switch: " + switched.error().message, .status = kRefused};
    }
    return {};
  }

  // Sends one real token request with the new key. The answer holds an access token, so it is never printed.
  Failure Prove() {
    v1::ProveKeyRequest request;
    request.set_client_id(options_.client_id);
    request.set_kid(key_.kid());
    request.set_audience(options_.publish.audience);
    const auto proof = connection_.ProveKey(request);
    if (!proof) {
      return {.why = "assertiond did not sign with the new key: " + proof.error().message, .status = kRefused};
    }
    auto token = options_.publish.token;
    token.ca_file = options_.publish.wso2.ca_file;
    token.client_id = options_.client_id;
    token.grant_type = "client_credentials";
    token.client_assertion = proof->assertion();
    token.client_assertion_type = proof->client_assertion_type();
    const auto answer = Send(token);
    if (!answer) {
      return {.why = "the token endpoint gave no answer to the new key: " + answer.error().message};
    }
    return oauth::IsGranted(*answer)
               ? Failure{.why = ""}
               : Failure{.why = "the token endpoint refused the new key: " + oauth::ReasonOf(*answer)};
  }

  // Tries twice: an answer may get lost, or another operator's change may come first. Checks the state in between.
  Status Switch() {
    Status switched;
    for (int attempt = 0; attempt < 2; ++attempt) {
      auto request = ScheduleRequest();
      *request.mutable_sign_from() = ToTimestamp(SystemTime());
      const auto scheduled = connection_.ScheduleKey(request);
      switched = CheckDone(scheduled);
      if (switched || scheduled) {
        return switched;
      }
      if (FindKey() && key_.state() == v1::KEY_STATE_SIGNING) {
        return {};
      }
    }
    return switched;
  }

  Status RollBack() const {
    const auto present = application_.ReadCertificate();
    if (present && old_certificate_.IsStoredAs(*present)) {
      return {};
    }
    const auto back = application_.Publish(old_certificate_);
    return back ? back : application_.Publish(old_certificate_);
  }

  std::string Where() const { return "application " + options_.publish.wso2.application; }

  // Commands that continue with this key or revoke it. They use '=' because a kid may begin with a hyphen.
  std::string Again() const {
    return "the same command with --kid=" + QuotedForShell(Printable(key_.kid())) +
           " tries it again; assertionctl key revoke " + KeyFlags(options_.client_id, key_.kid()) + " gives it up";
  }

  int ReportSwitched(std::int64_t milliseconds) const {
    if (options_.json) {
      return WriteJson({{"client_id", options_.client_id},
                        {"kid", key_.kid()},
                        {"predecessor", predecessor_},
                        {"application", options_.publish.wso2.application},
                        {"refused_ms", milliseconds}});
    }
    return Write("",
                 "client " + options_.client_id + ": key " + key_.kid() + " signs in place of " + predecessor_ + "\n" +
                     Where() + " has its certificate" + (proven_ ? ", and a token request with it was granted" : "") +
                     "\nassertions of the old key were refused for " + std::to_string(milliseconds) + " ms at most\n");
  }

  int ReportRolledBack(const Failure& failure, std::int64_t milliseconds) const {
    return Report(failure.status,
                  failure.why + "; rolled back: " + Where() +
                      " has the old certificate again (read back), the old key " + predecessor_ +
                      " signs as before, its assertions were refused for " + std::to_string(milliseconds) +
                      " ms at most; key " + key_.kid() + " is published and does not sign",
                  Again());
  }

  int ReportLockedOut(const Failure& failure, const Error& error) const {
    const int status = Report(
        kRefusedByIdentityServer,
        failure.why + "; AND THE OLD CERTIFICATE COULD NOT BE PUT BACK: " + error.message + ". " + Where() +
            " may have the certificate of key " + key_.kid() + ", while assertiond signs with key " + predecessor_ +
            ": then EVERY TOKEN REQUEST OF CLIENT " + options_.client_id + " IS REFUSED until this is mended",
        "assertionctl wso2 publish " + KeyFlags(options_.client_id, predecessor_) + " --application " +
            QuotedForShell(options_.publish.wso2.application) + " --base-url " +
            QuotedForShell(options_.publish.wso2.base_url) +
            " --token-file FILE; or put this certificate there by hand:");
    std::istringstream lines(old_certificate_.value);
    for (std::string line; std::getline(lines, line);) {
      std::fprintf(stderr, "%s\n", Printable(line.substr(0, line.find('\r'))).c_str());
    }
    return status;
  }

  const RotateKeyOptions& options_;
  Connection connection_;
  Wso2Application application_;
  Wso2Certificate old_certificate_;
  v1::Key key_;
  std::string predecessor_;
  bool proven_ = false;
};

}  // namespace

int CutOverAtWso2(const RotateKeyOptions& options, const std::string& server) {
  const auto endpoint = oauth::CheckTokenEndpoint(options.publish.token.token_endpoint);
  auto application = Wso2ApplicationOf(options.publish.wso2, options.client_id);
  if (!endpoint || !application) {
    return ReportWso2Flags(endpoint ? application.error() : endpoint.error());
  }
  auto connection = Connection::Open(server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  auto old_certificate = application->ReadCertificate();
  if (!old_certificate) {
    return ReportWso2(old_certificate.error());
  }
  if (old_certificate->type != "PEM") {
    return Report(kRefused,
                  "application " + options.publish.wso2.application + " has no certificate that could be put back" +
                      (old_certificate->type.empty() ? "" : ", but a JWK Set"),
                  "assertionctl wso2 publish puts the signing key's there; with a JWK Set no cut-over is needed");
  }
  return CutOver(options, std::move(*connection), std::move(*application), std::move(*old_certificate)).Run();
}

}  // namespace assertion::cli
