// assertionctl wso2 publish

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "assertion/bytes.h"
#include "assertion/clock.h"
#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/wso2/flags.h"

namespace assertion::cli {
namespace {

struct PublishToWso2Options {
  std::string client_id;
  Wso2Flags wso2;
  std::string kid;
  std::string jwks_url;
  bool configure = false;
  bool json = false;
};

// The published certificate or URL, for a person and for a program.
struct Published {
  std::string text;
  nlohmann::ordered_json json;
};

// Publishes and, with --configure, sets the client's authentication.
int Publish(const PublishToWso2Options& options, const Wso2Application& application, const Wso2Certificate& certificate,
            Published published) {
  if (const auto sent = application.Publish(certificate); !sent) {
    return ReportWso2(sent.error());
  }
  published.json["application"] = options.wso2.application;
  published.json["type"] = certificate.type;
  published.text += " is what application " + options.wso2.application + " has now: sent, read back, compared\n";
  if (options.configure) {
    if (const auto configured = application.UsePrivateKeyJwt(); !configured) {
      return ReportWso2(
          Error{.code = configured.error().code,
                .message = "published, but the client's authentication was not changed: " + configured.error().message,
                .detail = {}});
    }
    published.json["token_endpoint_auth_method"] = "private_key_jwt";
    published.text += "client " + options.client_id + " authenticates by private_key_jwt\n";
  }
  return options.json ? WriteJson(published.json) : Write("", published.text);
}

int PublishJwksUrl(const PublishToWso2Options& options, const Wso2Application& application) {
  const auto& url = options.jwks_url;
  return Publish(options, application, Wso2Certificate::FromJwksUrl(url),
                 {.text = "JWK Set " + url, .json = {{"client_id", options.client_id}, {"jwks_url", url}}});
}

int PublishCertificate(const PublishToWso2Options& options, const std::string& server,
                       const Wso2Application& application) {
  v1::GetCertificateRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Call(server, &Connection::GetCertificate, request, [&](const auto& response) {
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

int PublishToWso2(const PublishToWso2Options& options, const std::string& server) {
  const auto application = Wso2ApplicationOf(options.wso2, options.client_id);
  if (!application) {
    return ReportWso2Flags(application.error());
  }
  const auto& jwks_url = options.jwks_url;
  if (const auto parsed = oauth::ParseUrl("--jwks-url", jwks_url); !jwks_url.empty() && !parsed) {
    return ReportWso2Flags(parsed.error());
  }
  // Fails before anything is changed if the application does not exist or belongs to another client.
  if (const auto present = application->ReadCertificate(); !present) {
    return ReportWso2(present.error());
  }
  return jwks_url.empty() ? PublishCertificate(options, server, *application) : PublishJwksUrl(options, *application);
}

}  // namespace

void AddWso2Publish(Command& wso2) {
  const auto [verb, options] = wso2.AddVerb(
      {.name = "publish",
       .summary = "Make an application verify its client's assertions with the key's certificate, or with a JWK Set",
       .examples =
           "  assertionctl wso2 publish --client-id orders --application 394b8adc-ce24-4c64-8a09-a0d80abf8c33 \\\n"
           "    --base-url https://localhost:9443 --token-file token --configure\n"
           "  assertionctl wso2 publish --client-id orders --application 394b8adc-ce24-4c64-8a09-a0d80abf8c33 \\\n"
           "    --base-url https://is.example.com/t/acme --token-file token --jwks-url "
           "https://keys.example.com/orders.json",
       .statuses = {{kFile, "--token-file or --ca-file cannot be read"},
                    {kUnreachable, "assertiond or WSO2 cannot be reached"},
                    {kRefusedByIdentityServer, "WSO2 refused"}}},
      PublishToWso2);
  AddClientId(verb, options.client_id);
  AddWso2Flags(verb, options.wso2);
  auto* kid = AddDefaultedKid(verb, options.kid);
  verb->add_option("--jwks-url", options.jwks_url, "Make WSO2 fetch this JWK Set instead of a certificate")
      ->excludes(kid)
      ->type_name("URL");
  verb->add_flag("--configure", options.configure,
                 "Also set the application's client authentication to private_key_jwt");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
