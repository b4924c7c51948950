// assertionctl: the command line of assertiond.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <span>
#include <sstream>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/completion/complete.h"
#include "cli/connection.h"
#include "cli/help_format.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/word_order.h"
#include "cli/wrong_word.h"

namespace assertion::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  assertionctl key generate --client-id orders
  assertionctl key list
  assertionctl certificate get --client-id orders --out orders.pem
  assertionctl wso2 publish --client-id orders --application 394b8adc-… --base-url https://localhost:9443 \
    --token-file token
  assertionctl assertion create --client-id orders
  assertionctl token request --client-id orders --token-endpoint https://localhost:9443/oauth2/token)";

void AddKeyVerbs(Command& key) {
  AddKeyGenerate(key);
  AddKeyAdopt(key);
  AddKeyImport(key);
  AddKeyList(key);
  AddKeyWatch(key);
  AddKeyShow(key);
  AddKeyCsr(key);
  AddKeyImportCertificate(key);
  AddKeyRotate(key);
  AddKeySchedule(key);
  AddKeyRevoke(key);
  AddKeyDestroy(key);
  AddKeyAcceptLedger(key);
  AddKeyPending(key);
  AddKeyApprove(key);
  AddKeyWithdraw(key);
  auto evidence = AddKeyEvidence(key);
  AddKeyEvidenceVerify(evidence);
}

// All nouns and verbs, in the order of --help.
void AddVerbs(Command& assertionctl) {
  auto assertion = assertionctl.AddNoun("assertion", "Client assertions (RFC 7523)");
  AddAssertionCreate(assertion);
  AddAssertionInspect(assertion);
  AddAssertionRefresh(assertion);
  auto dpop = assertionctl.AddNoun("dpop", "DPoP proofs (RFC 9449)");
  AddDpopCreate(dpop);
  auto request_object = assertionctl.AddNoun("request-object", "Authorization requests as JWTs (RFC 9101)");
  AddRequestObjectCreate(request_object);
  auto certificate = assertionctl.AddNoun("certificate", "X.509 certificates");
  AddCertificateGet(certificate);
  auto jwks = assertionctl.AddNoun("jwks", "JWK Sets (RFC 7517)");
  AddJwksGet(jwks);
  auto key =
      assertionctl.AddNoun("key", "Key pairs inside the token: generate, certify, schedule, rotate, revoke, destroy");
  AddKeyVerbs(key);
  auto profile = assertionctl.AddNoun("profile", "What identity servers and APIs ask of assertions; needs no server");
  AddProfileList(profile);
  AddProfileShow(profile);
  auto token = assertionctl.AddNoun("token", "Access tokens of an identity server");
  AddTokenGet(token);
  AddTokenRequest(token);
  auto oidc = assertionctl.AddNoun("oidc", "Log-ins at an OpenID provider");
  AddOidcLogin(oidc);
  auto wso2 = assertionctl.AddNoun("wso2", "WSO2 Identity Server");
  AddWso2Publish(wso2);
  auto tls = assertionctl.AddNoun("tls", "The TLS server's own key on the token; needs no server, but its PIN file");
  AddTlsGenerate(tls);
  AddTlsCsr(tls);
  AddTlsImportCertificate(tls);
  auto audit = assertionctl.AddNoun("audit", "The audit log: what was signed, and what operators did");
  AddAuditKey(audit);
  AddAuditHead(audit);
  AddAuditVerify(audit);
  AddAuditShow(audit);
  AddStatus(assertionctl);
  AddConsole(assertionctl);
  AddDoctor(assertionctl);
  AddCompletion(assertionctl);
}

// Says what is wrong with the command line. CLI11 names neither an unknown word nor the command that it stands in.
int ReportUsage(const CLI::App& app, const CLI::ParseError& error, std::span<const char* const> words) {
  const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
  if (code == CLI::ExitCodes::Success) {  // --help or --version
    std::ostringstream text;
    app.exit(error, text, text);
    return WriteOctets("", text.str());
  }
  const auto wrong = FindWrongWord(app, words);
  if (code == CLI::ExitCodes::ArgumentMismatch) {  // "--client-id: 1 required ID missing"
    const std::string option = error.what();
    return Report(kUsage, option.substr(0, option.find(':')) + " needs a value", wrong.help);
  }
  if (code == CLI::ExitCodes::RequiredError && wrong.message.empty()) {
    return Report(kUsage, RequiredText(app, error.what()), wrong.help);
  }
  const bool names_word = code == CLI::ExitCodes::ExtrasError || code == CLI::ExitCodes::RequiredError;
  return Report(kUsage, names_word && !wrong.message.empty() ? wrong.message : error.what(), wrong.help);
}

// The second line is for a server that answers at once. Its absence is no error.
std::string VersionText(const std::string& server) {
  constexpr std::chrono::milliseconds kAtOnce{250};
  std::string text = "assertionctl " ASSERTION_VERSION;
  auto connection = Connection::Open(server, {.connect = kAtOnce, .call = kAtOnce});
  if (!connection) {
    return text;
  }
  const auto answer = connection->ListPendingChanges({});
  if (!connection->server_version().empty()) {
    text += "\nassertiond " + Printable(connection->server_version()) + " at " + Printable(server);
  } else if (!answer && answer.error().code == Code::kPermissionDenied) {
    text += "\nassertiond at " + Printable(server) + " tells its version to operators, approvers and viewers only";
  }
  return text;
}

int Run(int argc, char** argv) {
  KeepCommandLine(std::span<char* const>(argv, static_cast<std::size_t>(argc)));
  CLI::App app(
      "assertionctl creates assertions and tokens, manages keys and certificates, and reads assertiond's audit log.");
  app.formatter(HelpFormat());  // commands inherit it
  app.footer(std::string(kExitStatusHelp) + "\n\n" + kExamples);
  app.require_subcommand(1);
  Invocation invocation;
  app.add_option("--server", invocation.server,
                 "assertiond's address; default: $ASSERTIOND_SERVER, else " + invocation.server)
      ->check(CLI::Validator(
          [](const std::string& address) {
            return address.starts_with("unix:")
                       ? std::string()
                       : "must be unix:/PATH, and so must $ASSERTIOND_SERVER, not \"" + Printable(address) + "\"" +
                             (address.starts_with('/')
                                  ? "; did you mean \"unix:" + Printable(address) + "\"?"
                                  : ": assertionctl speaks to the server's Unix socket only, on its machine");
          },
          ""))
      ->envname("ASSERTIOND_SERVER")
      ->type_name("unix:/PATH");
  // Below --server, because CLI11 reads the options in the order of their definition.
  app.set_version_flag(
      "--version", [&invocation] { return VersionText(invocation.server); },
      "Print the version, and the server's if one answers at once, and exit");
  Command assertionctl(app, invocation);
  AddVerbs(assertionctl);
  const auto words = std::span<char* const>(argv, static_cast<std::size_t>(argc)).subspan(argc > 0 ? 1 : 0);
  if (!words.empty() && words.front() == std::string_view("complete")) {  // its words are another line's
    const char* const server = std::getenv("ASSERTIOND_SERVER");
    return Complete(app, server != nullptr ? server : invocation.server, words.subspan(1));
  }
  if (const auto wrong = WithoutValue(words); !wrong.empty()) {
    return Report(kUsage, wrong, FindWrongWord(app, words).help);
  }
  const auto asked = HelpAsOption(app, std::span<char* const>(argv, static_cast<std::size_t>(argc)));
  const auto asked_words = std::span(asked).subspan(asked.empty() ? 0 : 1);
  if (const auto wrong = WrongWordOfHelp(app, asked_words); !wrong.message.empty()) {
    return Report(kUsage, wrong.message, wrong.help);
  }
  const auto ordered = OutputOptionsLast(app, asked);
  try {
    app.parse(static_cast<int>(ordered.size()), ordered.data());
  } catch (const CLI::ParseError& error) {
    return ReportUsage(app, error, std::span(ordered).subspan(ordered.empty() ? 0 : 1));
  }
  return invocation.status;
}

}  // namespace
}  // namespace assertion::cli

int main(int argc, char** argv) {
  for (const char* name : {"PKCS11_PROVIDER_MODULE", "PKCS11_PROVIDER_DEBUG", "PKCS11_MODULE_PATH"}) {
    unsetenv(name);  // they would override which module OpenSSL's provider loads
  }
  return assertion::cli::Run(argc, argv);
}
