// assertionctl token request

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assertion/foreign_text.h"
#include "cli/assertion/flags.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/token/advice.h"
#include "cli/token/parameters.h"
#include "cli/verbs.h"
#include "jws/compact.h"
#include "oauth/form.h"
#include "oauth/metadata.h"
#include "oauth/pushed_request.h"
#include "oauth/token_request.h"

namespace assertion::cli {
namespace {

constexpr const char* kRequestHelp = "assertionctl token request --help";
constexpr const char* kClientCredentials = "client_credentials";
constexpr const char* kAuthorizationCode = "authorization_code";
constexpr const char* kJwtBearer = "jwt-bearer";

struct RequestTokenOptions {
  AssertionFlags assertion;
  oauth::TokenRequest token;  // its grant_type as --grant names it; empty: as the client's assertions say
  std::vector<std::string> resources;
  std::vector<std::string> parameters;
  std::string issuer;
  bool par = false;
  std::string par_endpoint;
};

// Refuses flags that contradict each other.
Status CheckFlags(const RequestTokenOptions& options) {
  const auto wrong = [](const std::string& why) { return Fail(Code::kInvalidArgument, why); };
  const auto& token = options.token;
  const auto& endpoint = options.par ? options.par_endpoint : token.token_endpoint;
  if (!options.par && !options.par_endpoint.empty()) {
    return wrong("--par-endpoint is for --par");
  }
  if (options.par && !token.token_endpoint.empty()) {
    return wrong("--par sends nothing to the token endpoint: give --issuer or --par-endpoint");
  }
  if (endpoint.empty() == options.issuer.empty()) {
    return wrong(options.par ? "--par needs one of --issuer and --par-endpoint"
                             : "give one of --token-endpoint and --issuer");
  }
  // An authorization code and what belongs to it (RFC 6749 section 4.1.3) go with that grant alone.
  const bool by_code = token.grant_type == kAuthorizationCode;
  if (options.par) {
    if (!token.grant_type.empty() || !token.code.empty() || !options.assertion.subject.empty()) {
      return wrong("--par takes no --grant, --code and --subject: they belong to a token request");
    }
    if (token.redirect_uri.empty()) {
      return wrong("--par needs --redirect-uri");
    }
    if (!token.code_verifier.empty() && !oauth::IsCodeVerifier(token.code_verifier)) {
      return wrong(
          "--code-verifier has " + std::to_string(token.code_verifier.size()) +
          " characters; it must have 43 to 128, of A-Z a-z 0-9 - . _ ~ (RFC 7636): openssl rand -hex 32 makes one");
    }
  } else if (by_code ? token.code.empty() || token.redirect_uri.empty()
                     : !token.code.empty() || !token.redirect_uri.empty() || !token.code_verifier.empty()) {
    return wrong("--grant authorization_code needs --code and --redirect-uri, and no other grant takes them");
  }
  if (!options.assertion.subject.empty() && !token.grant_type.empty() && token.grant_type != kJwtBearer) {
    return wrong("--subject is for --grant jwt-bearer: a client that authenticates is the subject itself");
  }
  if (!endpoint.empty()) {
    RETURN_IF_ERROR(oauth::ParseUrl(options.par ? "--par-endpoint" : "--token-endpoint", endpoint));
  }
  return {};
}

// Adds what --resource (RFC 8707 section 2) and --param name.
Result<oauth::FormFields> MoreFieldsOf(const RequestTokenOptions& options) {
  oauth::FormFields fields;
  for (const auto& resource : options.resources) {
    if (resource.empty() || !resource.contains(':') || resource.contains('#')) {
      return Fail(Code::kInvalidArgument, "--resource must be an absolute URI without fragment (RFC 8707)");
    }
    fields.emplace_back("resource", resource);
  }
  ASSIGN_OR_RETURN(const auto parameters, ParametersOf(options.parameters));
  fields.insert(fields.end(), parameters.begin(), parameters.end());
  return fields;
}

// What helps when the metadata are another issuer's; empty: they are not.
std::string HintOfIssuer(std::string_view message, const std::string& issuer) {
  if (!message.contains("says that its issuer is")) {
    return "";
  }
  const auto other = issuer.ends_with('/') ? issuer.substr(0, issuer.size() - 1) : issuer + '/';
  return message.contains("its issuer is \"" + other + "\"")
             ? "no request was sent; give --issuer " + other
             : "no request was sent; if that is the server you mean, give its issuer as --issuer";
}

int ReportMetadata(const Error& error, const std::string& issuer) {
  if (const auto hint = HintOfIssuer(error.message, issuer); !hint.empty()) {
    return Report(kRefused, error.message, hint);
  }
  switch (error.code) {
    case Code::kInvalidArgument:
      return Report(kUsage, error.message, kRequestHelp);
    case Code::kUnavailable:
      return Report(kUnreachable, error.message,
                    "check --issuer, and --ca-file for a certificate that this machine does not know");
    case Code::kNotFound:
      return Report(kRefusedByIdentityServer, error.message, "name the endpoint itself: --token-endpoint");
    default:
      return Report(kRefused, error.message,
                    "no request was sent; correct the client here or at the identity server, or skip the comparison: "
                    "--token-endpoint URL in place of --issuer");
  }
}

int ReportRefusal(const oauth::HttpAnswer& answer, const std::string& lacking = "") {
  return Report(kRefusedByIdentityServer, "the identity server refused: " + oauth::ReasonOf(answer) + lacking,
                AdviceFor(answer));
}

// One token request, or one pushed authorization request, from its flags to its answer.
class RequestedToken {
 public:
  RequestedToken(const RequestTokenOptions& options, const std::string& server, oauth::FormFields more)
      : options_(options),
        server_(server),
        more_(std::move(more)),
        endpoint_(options.par ? options.par_endpoint : options.token.token_endpoint) {}

  // Reads the metadata and finds the endpoint, if --issuer is given.
  Status Discover() {
    if (options_.issuer.empty()) {
      return {};
    }
    ASSIGN_OR_RETURN(metadata_, oauth::FetchMetadata("--issuer", options_.issuer, options_.token.ca_file));
    endpoint_ = options_.par ? metadata_->pushed_authorization_request_endpoint : metadata_->token_endpoint;
    RETURN_IF_ERROR(oauth::EndpointOf(
        *metadata_, options_.par ? "pushed_authorization_request_endpoint" : "token_endpoint", endpoint_));
    return {};
  }

  int Run() const {
    const auto request = AssertionRequestOf(options_.assertion);
    return request ? Create(*request, options_.token.scope) : Report(kUsage, request.error().message, kRequestHelp);
  }

 private:
  // `scope` is to be sent as a parameter.
  int Create(const v1::CreateAssertionRequest& request, const std::string& scope) const {
    return Call(server_, &Connection::CreateAssertion, request, [&](const auto& response) {
      const auto parsed = jws::ParseCompact(response.assertion());
      if (!parsed) {
        return Report(kRefused, "assertiond's answer is no assertion: " + parsed.error().message, "");
      }
      const bool authenticates = !response.client_assertion_type().empty();
      const auto grant_type = GrantType(authenticates, parsed->claims.contains("aud"));
      if (!grant_type) {
        return Report(kUsage, grant_type.error().message, kRequestHelp);
      }
      // Where the client's assertions have the claim scope, that is where a grant asks for scopes.
      if (!authenticates && parsed->claims.contains("scope") && !scope.empty()) {
        auto narrowed = request;
        narrowed.set_scope(scope);
        return Create(narrowed, "");
      }
      if (metadata_) {
        const oauth::PlannedRequest planned{.client_id = options_.assertion.client_id,
                                            .grant_type = *grant_type,
                                            .authenticates = authenticates,
                                            .endpoint = endpoint_};
        if (const auto fits = Compare(*metadata_, planned, response.assertion()); !fits) {
          return ReportMetadata(fits.error(), options_.issuer);
        }
      }
      // An assertion that is the grant names the client itself (RFC 7521 section 4.1).
      auto fields = authenticates ? oauth::FormFields{{"client_id", options_.assertion.client_id},
                                                      {"client_assertion_type", response.client_assertion_type()},
                                                      {"client_assertion", response.assertion()}}
                                  : oauth::FormFields{{"assertion", response.assertion()}};
      fields.emplace_back("grant_type", *grant_type);
      fields.emplace_back("scope", scope);
      return SendForm(std::move(fields));
    });
  }

  // Chooses the grant by what the client's assertions are for, or refuses a contradiction. Empty with --par.
  Result<std::string> GrantType(bool authenticates, bool has_audience) const {
    constexpr std::size_t kMostOfClient = 255;
    const auto client = "client " + Quoted(options_.assertion.client_id, kMostOfClient);
    const auto& grant = options_.token.grant_type;
    if (authenticates && grant == kJwtBearer) {
      return Fail(Code::kInvalidArgument, client +
                                              " has assertions that authenticate it, not grants: its field grant must "
                                              "be jwt-bearer, or its profile another");
    }
    if (!authenticates && (options_.par || (!grant.empty() && grant != kJwtBearer))) {
      return Fail(Code::kInvalidArgument, client + " has assertions that are grants and do not authenticate it: " +
                                              (options_.par ? "--par" : "--grant " + grant) +
                                              " needs a client with the grant client-authentication");
    }
    if (!authenticates && grant.empty() && !has_audience) {
      return Fail(Code::kInvalidArgument, client +
                                              " has assertions without aud, which are an API's bearer tokens: only "
                                              "--grant jwt-bearer sends one to a token endpoint");
    }
    if (!authenticates) {
      return std::string("urn:ietf:params:oauth:grant-type:jwt-bearer");
    }
    return options_.par ? std::string() : grant.empty() ? std::string(kClientCredentials) : grant;
  }

  int SendForm(oauth::FormFields fields) const {
    const auto endpoint = oauth::ParseUrl("the endpoint", endpoint_);
    if (!endpoint) {
      return Report(kUsage, endpoint.error().message, kRequestHelp);
    }
    const auto& token = options_.token;
    fields.emplace_back("redirect_uri", token.redirect_uri);
    const auto own = options_.par ? oauth::PushedFields(token.code_verifier)
                                  : oauth::FormFields{{"code", token.code}, {"code_verifier", token.code_verifier}};
    fields.insert(fields.end(), own.begin(), own.end());
    fields.insert(fields.end(), more_.begin(), more_.end());
    const auto answer = oauth::PostForm(*endpoint, token.ca_file, fields);
    if (!answer) {
      return Report(kUnreachable, answer.error().message,
                    "check the endpoint's URL, and --ca-file for a certificate that this machine does not know");
    }
    if (options_.par) {
      return WritePushed(*answer);
    }
    if (const int status = Write("", answer->body + (answer->body.ends_with('\n') ? "" : "\n")); status != 0) {
      return status;
    }
    return oauth::IsGranted(*answer) ? 0 : ReportRefusal(*answer);
  }

  int WritePushed(const oauth::HttpAnswer& answer) const {
    constexpr int kCreated = 201;
    const auto pushed = oauth::PushedAnswerOf(answer);
    if (!pushed) {
      return ReportRefusal(answer, answer.status == kCreated ? " without request_uri and expires_in" : "");
    }
    nlohmann::ordered_json json = {{"request_uri", pushed->request_uri}, {"expires_in", pushed->expires_in}};
    if (metadata_ && oauth::EndpointOf(*metadata_, "authorization_endpoint", metadata_->authorization_endpoint)) {
      json["authorization_url"] =
          oauth::AuthorizationUrl(metadata_->authorization_endpoint, options_.assertion.client_id, pushed->request_uri);
    }
    return WriteJson(json);
  }

  const RequestTokenOptions& options_;
  const std::string& server_;
  const oauth::FormFields more_;
  std::string endpoint_;
  std::optional<oauth::ServerMetadata> metadata_;
};

int RequestToken(const RequestTokenOptions& options, const std::string& server) {
  if (const auto fit = CheckFlags(options); !fit) {
    return Report(kUsage, fit.error().message, kRequestHelp);
  }
  auto more = MoreFieldsOf(options);
  if (!more) {
    return Report(kUsage, more.error().message, kRequestHelp);
  }
  RequestedToken request(options, server, *std::move(more));
  if (const auto discovered = request.Discover(); !discovered) {
    return ReportMetadata(discovered.error(), options.issuer);
  }
  return request.Run();
}

// Flags that become parameters of the request.
void AddFormFlags(CLI::App* verb, RequestTokenOptions& options) {
  verb->add_option("--code", options.token.code, "With --grant authorization_code: the code that the redirect brought")
      ->type_name("CODE");
  verb->add_option("--redirect-uri", options.token.redirect_uri,
                   "With --grant authorization_code: the redirect URI of the authorization request. With --par: where "
                   "the code is sent")
      ->type_name("URL");
  verb->add_option("--code-verifier", options.token.code_verifier,
                   "PKCE (RFC 7636); --par sends its S256 challenge; default: none")
      ->type_name("VERIFIER");
  verb->add_flag("--par", options.par,
                 "Push an authorization request (RFC 9126) instead, and print request_uri, expires_in in seconds and, "
                 "with --issuer, authorization_url");
  verb->add_option("--par-endpoint", options.par_endpoint, "With --par: the endpoint, in place of --issuer")
      ->type_name("URL");
  verb->add_option("--resource", options.resources, "The API that the token is for (RFC 8707); may be repeated")
      ->type_name("URI")
      ->allow_extra_args(false);
  verb->add_option("--param", options.parameters,
                   "Another parameter, for example audience=https://api.example.com; not one that a flag sets, and no "
                   "secret; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
}

}  // namespace

void AddTokenRequest(Command& token) {
  const auto [verb, options] = token.AddVerb(
      {.name = "request",
       .summary = "Create an assertion, send a token request with it, and print the answer",
       .examples =
           "  assertionctl token request --client-id orders --token-endpoint https://localhost:9443/oauth2/token\n"
           "  assertionctl token request --client-id orders --issuer https://is.example.com --resource "
           "https://api.example.com\n"
           "  assertionctl token request --client-id orders --token-endpoint https://shop.auth0.com/oauth/token \\\n"
           "    --param audience=https://api.example.com\n"
           "  assertionctl token request --client-id reports --grant jwt-bearer --subject ann@example.com \\\n"
           "    --token-endpoint https://oauth2.googleapis.com/token\n"
           "  assertionctl token request --client-id orders --par --issuer https://is.example.com \\\n"
           "    --redirect-uri https://app.example.com/cb --code-verifier \"$(openssl rand -hex 32 | tee verifier)\"\n"
           "  assertionctl token request --client-id orders --token-endpoint https://is.example.com/oauth2/token \\\n"
           "    --grant authorization_code --code CODE --redirect-uri https://app.example.com/cb "
           "--code-verifier \"$(cat verifier)\"",
       .notes =
           "--issuer compares the server's metadata with the client before anything is sent: grant and authentication\n"
           "method, the client's algorithm, and aud with the issuer and the endpoint.\n"
           "The command line can be read by other users of this machine: give no secret as --param.",
       .statuses = {{kRefused, "assertiond refused, or the metadata of --issuer differ from the client"},
                    {kUnreachable, "assertiond or the identity server cannot be reached"},
                    {kRefusedByIdentityServer, "the identity server refused, or its metadata lack the endpoint"}}},
      RequestToken);
  AddAssertionFlags(verb, options.assertion);
  AddTokenEndpoint(verb, options.token);
  verb->get_option("--token-endpoint")->required(false);
  verb->get_option("--scope")->description(
      "Scopes, separated by blanks; the claim scope of a jwt-bearer client that has it, else a parameter; default: the "
      "claim's configured scopes, else none sent");
  verb->add_option("--issuer", options.issuer,
                   "In place of an endpoint: the server's issuer, octet for octet; its metadata (RFC 8414, at most 1 "
                   "MiB) names the endpoint")
      ->type_name("URL");
  verb->add_option(
          "--grant", options.token.grant_type,
          "The grant of the request; default: jwt-bearer for a client with that grant, else client_credentials")
      ->check(OneOf({kClientCredentials, kAuthorizationCode, kJwtBearer}))
      ->type_name("GRANT");
  verb->add_option("--subject", options.assertion.subject,
                   "With --grant jwt-bearer: one of the client's configured subjects; default: the client's own")
      ->type_name("SUBJECT");
  AddFormFlags(verb, options);
  AddCaFile(verb, options.token.ca_file);
}

}  // namespace assertion::cli
