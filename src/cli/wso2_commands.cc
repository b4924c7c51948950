// assertionctl wso2 publish.

#include "cli/wso2_commands.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "assertion/bytes.h"
#include "assertion/clock.h"
#include "cli/bearer_token.h"
#include "cli/call.h"
#include "cli/key_options.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

// What was published, for a person and for a program.
struct Published {
  std::string text;
  nlohmann::ordered_json json;
};

// Publishes, and has the client authenticate by it when that was asked for.
int Publish(const Options& options, const Wso2Application& application, const Wso2Certificate& certificate,
            Published published) {
  if (const auto sent = application.Publish(certificate); !sent) {
    return ReportWso2(sent.error());
  }
  published.json["application"] = options.wso2.application;
  published.json["type"] = certificate.type;
  published.text += " is what application " + options.wso2.application + " has now: sent, read back, compared\n";
  if (options.wso2.configure) {
    if (const auto configured = application.UsePrivateKeyJwt(); !configured) {
      return ReportWso2(
          Error{.code = configured.error().code,
                .message = "published, but the client's authentication is as it was: " + configured.error().message,
                .detail = {}});
    }
    published.json["token_endpoint_auth_method"] = "private_key_jwt";
    published.text += "client " + options.client_id + " authenticates by private_key_jwt\n";
  }
  constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
  return Write("", options.json ? published.json.dump(2, ' ', false, kReplace) + "\n" : published.text);
}

int PublishJwksUrl(const Options& options, const Wso2Application& application) {
  const auto& url = options.wso2.jwks_url;
  return Publish(options, application, Wso2Certificate::FromJwksUrl(url),
                 {.text = "JWK Set " + url, .json = {{"client_id", options.client_id}, {"jwks_url", url}}});
}

int PublishCertificate(const Options& options, const Wso2Application& application) {
  v1::GetCertificateRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Call<v1::GetCertificateRequest, v1::GetCertificateResponse>(
      options, &Connection::GetCertificate, request, [&](const auto& response) {
        const auto certificate = Wso2Certificate::FromDer(AsBytes(response.der()));
        if (!certificate) {
          return Report(kRefused, certificate.error().message, "assertionctl key list shows the certificates");
        }
        const auto until = ToTime(response.not_after());
        return Publish(options, application, *certificate,
                       {.text = "certificate of key " + response.kid() + ", valid until " + Rfc3339(until) + " (" +
                                Relative(until, SystemTime()) + "),",
                        .json = {{"client_id", options.client_id},
                                 {"kid", response.kid()},
                                 {"x5t#S256", response.x5t_s256()},
                                 {"not_after", Rfc3339(until)}}});
      });
}

int PublishToWso2(const Options& options) {
  const auto application = Wso2ApplicationOf(options);
  if (!application) {
    return ReportWso2Options(application.error());
  }
  const auto& jwks_url = options.wso2.jwks_url;
  if (const auto parsed = ParseUrl("--jwks-url", jwks_url); !jwks_url.empty() && !parsed) {
    return ReportWso2Options(parsed.error());
  }
  // Before anything is changed: whether it is there, and this client's.
  if (const auto present = application->ReadCertificate(); !present) {
    return ReportWso2(present.error());
  }
  return jwks_url.empty() ? PublishCertificate(options, *application) : PublishJwksUrl(options, *application);
}

}  // namespace

void AddWso2Options(CLI::App* verb, Options& options) {
  auto& wso2 = options.wso2;
  verb->add_option("--application", wso2.application, "Id of the application (not its client id)")
      ->required()
      ->type_name("APP-ID");
  verb->add_option("--base-url", wso2.base_url,
                   "https://host:port, or with a path that ends with /api/server/v1 (http:// for loopback hosts only)")
      ->required()
      ->type_name("URL");
  verb->add_option("--token-file", wso2.token_file,
                   "File of mode 0600 with an access token of the scopes internal_application_mgt_view and "
                   "internal_application_mgt_update")
      ->required()
      ->type_name("FILE");
  AddCaFile(verb, wso2.ca_file);
}

Result<Wso2Application> Wso2ApplicationOf(const Options& options) {
  const auto& wso2 = options.wso2;
  ASSIGN_OR_RETURN(auto token, ReadBearerToken(wso2.token_file));
  return Wso2Application::New({.base_url = wso2.base_url,
                               .ca_file = wso2.ca_file,
                               .token = std::move(token),
                               .application = wso2.application,
                               .client_id = options.client_id});
}

int ReportWso2Options(const Error& error) {
  return error.code == Code::kInvalidArgument ? Report(kUsage, error.message, "assertionctl wso2 publish --help")
                                              : ReportFile(error);
}

int ReportWso2(const Error& error) {
  return Report(error.code == Code::kUnavailable ? kUnreachable : kRefusedByIdentityServer, error.message,
                Wso2Remedy(error));
}

void AddWso2Noun(CLI::App& app, Options& options, int& status) {
  auto* publish = AddVerb(
      AddNoun(app, "wso2", "WSO2 Identity Server"), "publish",
      "Have an application verify its client's assertions with our certificate, or with a JWK Set",
      "  assertionctl wso2 publish --client-id orders --application 394b8adc-ce24-4c64-8a09-a0d80abf8c33 \\\n"
      "    --base-url https://localhost:9443 --token-file token --configure\n"
      "  assertionctl wso2 publish --client-id orders --application 394b8adc-ce24-4c64-8a09-a0d80abf8c33 \\\n"
      "    --base-url https://is.example.com/t/acme --token-file token --jwks-url https://keys.example.com/orders.json",
      status, [&options] { return PublishToWso2(options); });
  AddClientId(publish, options);
  AddWso2Options(publish, options);
  auto* kid = AddDefaultedKid(publish, options);
  publish->add_option("--jwks-url", options.wso2.jwks_url, "Have WSO2 fetch this JWK Set instead of a certificate")
      ->excludes(kid)
      ->type_name("URL");
  publish->add_flag("--configure", options.wso2.configure,
                    "Also set the application's client authentication to private_key_jwt");
  AddJson(publish, options);
}

}  // namespace assertion::cli
