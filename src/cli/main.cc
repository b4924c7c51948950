// assertionctl: the command line of assertiond. Nouns and verbs; each verb is one function below.

#include <google/protobuf/util/json_util.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/clock.h"
#include "cli/connection.h"
#include "cli/doctor.h"
#include "cli/inspection.h"
#include "cli/text.h"
#include "cli/token_request.h"
#include "config/config.h"
#include "config/duration.h"

namespace {

using assertion::Code;
using assertion::Error;
using assertion::Fail;
using assertion::Result;
using assertion::Status;
using assertion::Time;
using assertion::cli::Connection;

constexpr int kRefused = 1;
constexpr int kUsage = 2;
constexpr int kFile = 3;
constexpr int kUnreachable = 4;
constexpr int kRefusedByIdentityServer = 5;

constexpr const char* kFooter = R"(Exit status:
  0  done
  1  the server, doctor or inspect said no
  2  wrong command line
  3  a file or the configuration is wrong
  4  the server cannot be reached
  5  the identity server refused the token request

Examples:
  assertionctl key generate --client-id orders
  assertionctl certificate get --client-id orders --out orders.pem
  assertionctl assertion create --client-id orders
  assertionctl token request --client-id orders --token-endpoint https://localhost:9443/oauth2/token)";

// What was typed. Every verb reads its own part.
struct Options {
  std::string server = "unix:/run/assertiond/assertiond.sock";
  bool json = false;
  std::string client_id;
  std::string audience;
  std::string lifetime;
  std::vector<std::string> claims;
  std::string file;
  std::string certificate_file;
  std::string jwks_file;
  std::string format = "pem";
  std::string out;
  int bits = 0;
  std::string common_name;
  int validity_days = 0;
  std::string config;
  assertion::cli::TokenRequest token;
  std::string grant = "client_credentials";
};

int Report(int status, const std::string& what, const std::string& next) {
  std::fprintf(stderr, "assertionctl: %s\n", assertion::cli::Printable(what).c_str());
  if (!next.empty()) {
    std::fprintf(stderr, "  next: %s\n", next.c_str());
  }
  return status;
}

// An error of a call to assertiond.
int ReportCall(const Error& error) {
  switch (error.code) {
    case Code::kAddressUnusable:
      return Report(kUnreachable, error.message,
                    "start it with assertiond --config FILE, or name its socket with --server unix:/path");
    case Code::kInvalidArgument:
      return Report(kRefused, error.message, "what a client may ask for is in assertiond's configuration");
    case Code::kNotFound:
      return Report(kRefused, error.message, "correct --client-id, or add the client to assertiond's configuration");
    case Code::kUnavailable:
      return Report(kRefused, error.message, "assertionctl doctor --config FILE shows what is wrong with the HSM");
    default:
      return Report(kRefused, error.message, "assertionctl key list shows the keys there are");
  }
}

int ReportFile(const Error& error) { return Report(kFile, error.ToString(), "name a file that can be used"); }

int Write(const std::string& path, std::string_view text) {
  const auto written = assertion::cli::WriteText(path, text);
  return written ? 0 : ReportFile(written.error());
}

Time ToTime(const google::protobuf::Timestamp& timestamp) { return Time(std::chrono::seconds(timestamp.seconds())); }

// Opens the server, calls `method` with `request`, and hands the answer to `use`.
template <typename Request, typename Response>
int Call(const Options& options, Result<Response> (Connection::*method)(const Request&), const Request& request,
         const std::function<int(const Response&)>& use) {
  auto connection = Connection::Open(options.server);
  if (!connection) {
    return ReportCall(connection.error());
  }
  const auto response = ((*connection).*method)(request);
  return response ? use(*response) : ReportCall(response.error());
}

// Whether every number survives the way through google.protobuf.Struct, which knows doubles only.
bool IsExact(const nlohmann::json& value) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53U;
  if (value.is_structured()) {
    return std::ranges::all_of(value, IsExact);
  }
  if (value.is_number_unsigned()) {
    return value.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMost);
  }
  return !value.is_number_integer() || value.get<std::int64_t>() >= -kMost;
}

// name=json, repeated, as one object.
Result<nlohmann::json> ParseClaims(const std::vector<std::string>& claims) {
  auto object = nlohmann::json::object();
  for (const auto& claim : claims) {
    const auto equals = claim.find('=');
    const auto name = claim.substr(0, equals);
    auto value = equals == std::string::npos
                     ? nlohmann::json(nlohmann::json::value_t::discarded)
                     : nlohmann::json::parse(claim.substr(equals + 1), nullptr, /*allow_exceptions=*/false);
    if (name.empty() || value.is_discarded()) {
      return Fail(Code::kInvalidArgument,
                  "--claim must be name=json, for example --claim 'tenant=\"acme\"', not '" + claim + "'");
    }
    if (!IsExact(value)) {
      return Fail(Code::kInvalidArgument, "--claim " + name + ": whole numbers beyond 2^53 lose digits: send a string");
    }
    if (object.contains(name)) {
      return Fail(Code::kInvalidArgument, "--claim " + name + " is repeated");
    }
    object[name] = std::move(value);
  }
  return object;
}

Result<assertion::v1::CreateAssertionRequest> AssertionRequestOf(const Options& options) {
  assertion::v1::CreateAssertionRequest request;
  request.set_client_id(options.client_id);
  request.set_audience(options.audience);
  if (!options.lifetime.empty()) {
    const auto lifetime = assertion::ParseDuration(options.lifetime);
    if (!lifetime) {
      return Fail(Code::kInvalidArgument, "--lifetime must be digits and s, m or h, for example 300s");
    }
    request.mutable_lifetime()->set_seconds(lifetime->count());
  }
  const auto claims = ParseClaims(options.claims);
  if (!claims) {
    return std::unexpected(claims.error());
  }
  if (!claims->empty() &&
      !google::protobuf::util::JsonStringToMessage(claims->dump(), request.mutable_extra_claims()).ok()) {
    return Fail(Code::kInvalidArgument, "--claim has a value that cannot be sent");
  }
  return request;
}

int CreateAssertion(const Options& options) {
  const auto request = AssertionRequestOf(options);
  if (!request) {
    return Report(kUsage, request.error().message, "assertionctl assertion create --help");
  }
  return Call<assertion::v1::CreateAssertionRequest, assertion::v1::CreateAssertionResponse>(
      options, &Connection::CreateAssertion, *request, [&](const auto& response) {
        if (!options.json) {
          return Write("", response.assertion() + "\n");
        }
        const nlohmann::ordered_json json = {{"assertion", response.assertion()},
                                             {"client_assertion_type", response.client_assertion_type()},
                                             {"kid", response.kid()},
                                             {"jti", response.jti()},
                                             {"issued_at", assertion::cli::Rfc3339(ToTime(response.issued_at()))},
                                             {"expires_at", assertion::cli::Rfc3339(ToTime(response.expires_at()))}};
        return Write("", json.dump(2) + "\n");
      });
}

// Verifies with the key file that was named; nothing was named: no verdict.
Result<std::string> Verdict(const Options& options, const assertion::jws::Unverified& parsed) {
  const auto& path = options.certificate_file.empty() ? options.jwks_file : options.certificate_file;
  if (path.empty()) {
    return "not checked";
  }
  const auto text = assertion::cli::ReadText(path);
  if (!text) {
    return std::unexpected(text.error());
  }
  const auto key = options.certificate_file.empty() ? assertion::cli::KeyFromJwks(*text, parsed.header)
                                                    : assertion::cli::KeyFromCertificate(*text);
  if (!key) {
    return std::unexpected(key.error());
  }
  const auto verified = assertion::cli::VerifySignature(parsed, *key);
  if (!verified) {
    return std::unexpected(verified.error());
  }
  return "ok";
}

int InspectAssertion(const Options& options) {
  auto text = assertion::cli::ReadText(options.file);
  if (!text) {
    return ReportFile(text.error());
  }
  while (text->ends_with('\n') || text->ends_with('\r')) {
    text->pop_back();
  }
  const auto parsed = assertion::jws::ParseCompact(*text);
  if (!parsed) {
    return Report(kRefused, parsed.error().message, "");
  }
  const auto verdict = Verdict(options, *parsed);
  if (options.json) {
    nlohmann::ordered_json json = {{"header", parsed->header}, {"claims", parsed->claims}};
    json["signature"] = verdict ? *verdict : "bad";
    if (const int status = Write("", json.dump(2) + "\n"); status != 0) {
      return status;
    }
  } else {
    const auto description =
        assertion::cli::Describe(*parsed, assertion::SystemTime()) +
        "signature: " + (verdict ? *verdict == "ok" ? *verdict : *verdict + " (give --certificate or --jwks)" : "bad") +
        "\n";
    if (const int status = Write("", description); status != 0) {
      return status;
    }
  }
  if (!verdict) {
    return verdict.error().code == Code::kConfigInvalid ? ReportFile(verdict.error())
                                                        : Report(kRefused, verdict.error().message, "");
  }
  return 0;
}

int GetCertificate(const Options& options) {
  assertion::v1::GetCertificateRequest request;
  request.set_client_id(options.client_id);
  return Call<assertion::v1::GetCertificateRequest, assertion::v1::GetCertificateResponse>(
      options, &Connection::GetCertificate, request, [&](const auto& response) {
        return Write(options.out, options.format == "der" ? response.der() : response.pem());
      });
}

int GetJwks(const Options& options) {
  assertion::v1::GetJwksRequest request;
  request.set_client_id(options.client_id);
  return Call<assertion::v1::GetJwksRequest, assertion::v1::GetJwksResponse>(
      options, &Connection::GetJwks, request,
      [&](const auto& response) { return Write(options.out, response.jwks() + "\n"); });
}

nlohmann::ordered_json KeyJson(const assertion::v1::Key& key) {
  nlohmann::ordered_json json = {{"client_id", key.client_id()},
                                 {"kid", key.kid()},
                                 {"algorithm", key.algorithm()},
                                 {"key_bits", key.key_bits()},
                                 {"cka_id", assertion::Hex(assertion::AsBytes(key.cka_id()))}};
  if (!key.x5t_s256().empty()) {
    json["x5t#S256"] = key.x5t_s256();
    json["not_before"] = assertion::cli::Rfc3339(ToTime(key.not_before()));
    json["not_after"] = assertion::cli::Rfc3339(ToTime(key.not_after()));
  }
  return json;
}

int GenerateKey(const Options& options) {
  assertion::v1::GenerateKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_key_bits(options.bits);
  request.set_common_name(options.common_name);
  if (options.validity_days != 0) {
    request.mutable_certificate_validity()->set_seconds(std::int64_t{options.validity_days} * 86400);
  }
  return Call<assertion::v1::GenerateKeyRequest, assertion::v1::GenerateKeyResponse>(
      options, &Connection::GenerateKey, request, [&](const auto& response) {
        const auto& key = response.key();
        return Write("", options.json ? KeyJson(key).dump(2) + "\n"
                                      : "key " + key.kid() + " for client " + key.client_id() + ": " + key.algorithm() +
                                            ", " + std::to_string(key.key_bits()) + " bits, certificate until " +
                                            assertion::cli::Rfc3339(ToTime(key.not_after())) + "\n");
      });
}

std::string KeyTable(const assertion::v1::ListKeysResponse& response) {
  const auto row = [](const std::string& client, const std::string& kid, const std::string& algorithm,
                      const std::string& bits, const std::string& certificate) {
    const auto cell = [](std::string text, std::size_t width) {
      text.resize(std::max(width, text.size()), ' ');
      return text + "  ";
    };
    return cell(client, 20) + cell(kid, 43) + cell(algorithm, 9) + cell(bits, 4) + certificate + "\n";
  };
  auto table = row("CLIENT", "KID", "ALGORITHM", "BITS", "CERTIFICATE UNTIL");
  for (const auto& key : response.keys()) {
    const auto until = ToTime(key.not_after());
    table += row(key.client_id(), key.kid(), key.algorithm(), std::to_string(key.key_bits()),
                 key.x5t_s256().empty() ? "none"
                                        : assertion::cli::Rfc3339(until) + " (" +
                                              assertion::cli::Relative(until, assertion::SystemTime()) + ")");
  }
  return table;
}

int ListKeys(const Options& options) {
  return Call<assertion::v1::ListKeysRequest, assertion::v1::ListKeysResponse>(
      options, &Connection::ListKeys, {}, [&](const auto& response) {
        if (!options.json) {
          return Write("", KeyTable(response));
        }
        nlohmann::ordered_json json = {{"keys", nlohmann::ordered_json::array()}};
        for (const auto& key : response.keys()) {
          json["keys"].push_back(KeyJson(key));
        }
        return Write("", json.dump(2) + "\n");
      });
}

int RequestToken(Options& options) {
  const auto request = AssertionRequestOf(options);
  const auto endpoint = assertion::cli::CheckTokenEndpoint(options.token.token_endpoint);
  if (!request || !endpoint) {
    return Report(kUsage, request ? endpoint.error().message : request.error().message,
                  "assertionctl token request --help");
  }
  const bool with_code = options.grant == "authorization_code";
  const auto& [code, redirect_uri, verifier] =
      std::tie(options.token.code, options.token.redirect_uri, options.token.code_verifier);
  if (with_code ? code.empty() || redirect_uri.empty() : !code.empty() || !redirect_uri.empty() || !verifier.empty()) {
    return Report(kUsage, "--grant authorization_code needs --code and --redirect-uri, and no other grant takes them",
                  "assertionctl token request --help");
  }
  return Call<assertion::v1::CreateAssertionRequest, assertion::v1::CreateAssertionResponse>(
      options, &Connection::CreateAssertion, *request, [&](const auto& response) {
        auto& token = options.token;
        token.client_id = options.client_id;
        token.grant_type = options.grant;
        token.client_assertion = response.assertion();
        token.client_assertion_type = response.client_assertion_type();
        const auto answer = assertion::cli::Send(token);
        if (!answer) {
          return Report(kUnreachable, answer.error().message,
                        "check --token-endpoint, and --ca-file for a certificate that this machine does not know");
        }
        if (const int status = Write("", answer->body + (answer->body.ends_with('\n') ? "" : "\n")); status != 0) {
          return status;
        }
        if (!assertion::cli::IsGranted(*answer)) {
          return Report(kRefusedByIdentityServer, "the identity server refused: " + assertion::cli::ReasonOf(*answer),
                        "compare audience, certificate and clock: assertionctl assertion create … | assertionctl "
                        "assertion inspect");
        }
        return 0;
      });
}

int RunDoctor(const Options& options) {
  const auto config = assertion::ReadConfig(options.config);
  if (!config) {
    for (const auto& error : config.error()) {
      std::fprintf(stderr, "assertionctl: %s\n", error.c_str());
    }
    return kFile;
  }
  const auto findings = assertion::cli::Diagnose(*config, assertion::SystemTime());
  bool all_ok = true;
  nlohmann::ordered_json json = {{"ok", true}, {"findings", nlohmann::ordered_json::array()}};
  std::string lines;
  for (const auto& warning : config->warnings) {
    lines += "note   " + warning + "\n";
  }
  for (const auto& finding : findings) {
    all_ok = all_ok && finding.ok;
    json["findings"].push_back({{"name", finding.name}, {"ok", finding.ok}, {"text", finding.text}});
    lines += (finding.ok ? "ok     " : "wrong  ") + finding.name + ": " + finding.text + "\n";
  }
  json["ok"] = all_ok;
  const int status =
      Write("", options.json ? json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" : lines);
  return status != 0 || all_ok ? status : kRefused;
}

// ---- the command line ----

CLI::App* AddNoun(CLI::App& app, const char* name, const char* description) {
  auto* noun = app.add_subcommand(name, description)->require_subcommand(1)->fallthrough();
  return noun;
}

CLI::App* AddVerb(CLI::App* noun, const char* name, const char* description, const std::string& examples, int& status,
                  std::function<int()> run) {
  auto* verb = noun->add_subcommand(name, description)->fallthrough();
  verb->footer("Examples:\n" + examples);
  verb->callback([&status, run = std::move(run)] { status = run(); });
  return verb;
}

void AddClientId(CLI::App* verb, Options& options) {
  verb->add_option("--client-id", options.client_id, "The OAuth 2.0 client")->required()->type_name("ID");
}

void AddJson(CLI::App* verb, Options& options) { verb->add_flag("--json", options.json, "Print JSON"); }

void AddOut(CLI::App* verb, Options& options) {
  verb->add_option("--out", options.out, "Write there instead of standard output")->type_name("FILE");
}

void AddAssertionOptions(CLI::App* verb, Options& options) {
  AddClientId(verb, options);
  verb->add_option("--audience", options.audience, "aud; default: the client's first configured audience")
      ->type_name("URL");
  verb->add_option("--lifetime", options.lifetime, "exp - iat, with s, m or h; default: the client's")
      ->type_name("300s");
  verb->add_option("--claim", options.claims, "Add a claim that the configuration allows; may be repeated")
      ->type_name("NAME=JSON")
      ->allow_extra_args(false);
}

void AddAssertionNoun(CLI::App& app, Options& options, int& status) {
  auto* noun = AddNoun(app, "assertion", "Client assertions (RFC 7523)");
  auto* create = AddVerb(noun, "create", "Have one made; prints the JWT alone",
                         "  assertionctl assertion create --client-id orders\n"
                         "  assertionctl assertion create --client-id orders --lifetime 60s --claim 'tenant=\"acme\"'",
                         status, [&options] { return CreateAssertion(options); });
  AddAssertionOptions(create, options);
  AddJson(create, options);
  auto* inspect = AddVerb(noun, "inspect", "Decode one, and verify it when a key is given; needs no server",
                          "  assertionctl assertion create --client-id orders | assertionctl assertion inspect\n"
                          "  assertionctl assertion inspect assertion.jwt --certificate orders.pem",
                          status, [&options] { return InspectAssertion(options); });
  inspect->add_option("file", options.file, "The JWT; default or -: standard input")->type_name("FILE");
  auto* certificate = inspect->add_option("--certificate", options.certificate_file, "Verify with this PEM certificate")
                          ->type_name("FILE");
  inspect->add_option("--jwks", options.jwks_file, "Verify with this JWK Set's key of the same kid")
      ->type_name("FILE")
      ->excludes(certificate);
  AddJson(inspect, options);
}

void AddMaterialNouns(CLI::App& app, Options& options, int& status) {
  auto* certificate = AddVerb(AddNoun(app, "certificate", "X.509 certificates"), "get",
                              "The certificate of a client's key, for the identity server",
                              "  assertionctl certificate get --client-id orders --out orders.pem", status,
                              [&options] { return GetCertificate(options); });
  AddClientId(certificate, options);
  certificate->add_option("--format", options.format, "pem (leaf first, LF) or der (the leaf); default pem")
      ->check(CLI::IsMember({"pem", "der"}))
      ->type_name("FORMAT");
  AddOut(certificate, options);
  auto* jwks = AddVerb(AddNoun(app, "jwks", "JWK Sets (RFC 7517)"), "get", "The public keys of a client",
                       "  assertionctl jwks get --client-id orders --out jwks.json", status,
                       [&options] { return GetJwks(options); });
  AddClientId(jwks, options);
  AddOut(jwks, options);
}

void AddKeyNoun(CLI::App& app, Options& options, int& status) {
  auto* noun = AddNoun(app, "key", "Key pairs inside the token");
  auto* generate = AddVerb(noun, "generate", "Make a key pair in the token, with a self-signed certificate",
                           "  assertionctl key generate --client-id orders\n"
                           "  assertionctl key generate --client-id orders --bits 3072 --validity-days 730",
                           status, [&options] { return GenerateKey(options); });
  AddClientId(generate, options);
  generate->add_option("--bits", options.bits, "2048 (default), 3072 or 4096")
      ->check(CLI::IsMember({2048, 3072, 4096}));
  generate->add_option("--common-name", options.common_name, "Of the certificate; default: the client id")
      ->type_name("CN");
  generate->add_option("--validity-days", options.validity_days, "Of the certificate; default 365")
      ->check(CLI::Range(1, 3650));
  AddJson(generate, options);
  auto* list =
      AddVerb(noun, "list", "The keys of all clients", "  assertionctl key list\n  assertionctl key list --json",
              status, [&options] { return ListKeys(options); });
  AddJson(list, options);
}

void AddTokenNoun(CLI::App& app, Options& options, int& status) {
  auto* request = AddVerb(
      AddNoun(app, "token", "Access tokens of an identity server"), "request",
      "Make an assertion, send the token request, print the answer",
      "  assertionctl token request --client-id orders --token-endpoint https://localhost:9443/oauth2/token\n"
      "  assertionctl token request --client-id orders --token-endpoint https://is.example.com/oauth2/token \\\n"
      "    --grant authorization_code --code CODE --redirect-uri https://app.example.com/cb --code-verifier VERIFIER",
      status, [&options] { return RequestToken(options); });
  AddAssertionOptions(request, options);
  auto& token = options.token;
  request->add_option("--token-endpoint", token.token_endpoint, "https://… (http:// for loopback hosts only)")
      ->required()
      ->type_name("URL");
  request->add_option("--grant", options.grant, "client_credentials (default) or authorization_code")
      ->check(CLI::IsMember({"client_credentials", "authorization_code"}))
      ->type_name("GRANT");
  request->add_option("--code", token.code, "The authorization code")->type_name("CODE");
  request->add_option("--redirect-uri", token.redirect_uri, "As in the authorization request")->type_name("URL");
  request->add_option("--code-verifier", token.code_verifier, "PKCE (RFC 7636)")->type_name("TEXT");
  request->add_option("--scope", token.scope, "Scopes, separated by blanks; default: none sent")->type_name("SCOPE");
  request->add_option("--ca-file", token.ca_file, "PEM certificates to trust instead of the system's")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
}

void AddDoctor(CLI::App& app, Options& options, int& status) {
  auto* doctor =
      app.add_subcommand("doctor", "Check module, token, login, keys and certificates; needs no server")->fallthrough();
  doctor->footer("Examples:\n  assertionctl doctor --config /etc/assertiond/assertiond.json");
  doctor->add_option("--config", options.config, "assertiond's configuration")->required()->type_name("FILE");
  AddJson(doctor, options);
  doctor->callback([&options, &status] { status = RunDoctor(options); });
}

}  // namespace

int main(int argc, char** argv) {
  for (const char* name : {"PKCS11_PROVIDER_MODULE", "PKCS11_PROVIDER_DEBUG", "PKCS11_MODULE_PATH"}) {
    unsetenv(name);  // they would override which module OpenSSL's provider loads
  }
  CLI::App app("assertionctl talks to assertiond: assertions, certificates, keys.");
  app.set_version_flag("--version", "assertionctl " ASSERTION_VERSION);
  app.footer(kFooter);
  app.require_subcommand(1);
  Options options;
  int status = 0;
  app.add_option("--server", options.server,
                 "assertiond's address; default: $ASSERTIOND_SERVER, else " + options.server)
      ->envname("ASSERTIOND_SERVER")
      ->type_name("unix:/PATH");
  AddAssertionNoun(app, options, status);
  AddMaterialNouns(app, options, status);
  AddKeyNoun(app, options, status);
  AddTokenNoun(app, options, status);
  AddDoctor(app, options, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return status;
}
