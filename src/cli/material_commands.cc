// assertionctl certificate get, jwks get: what an identity server needs of a client's keys.

#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/key_options.h"

namespace assertion::cli {
namespace {

int GetCertificate(const Options& options) {
  v1::GetCertificateRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Call<v1::GetCertificateRequest, v1::GetCertificateResponse>(
      options, &Connection::GetCertificate, request, [&](const auto& response) {
        return options.format == "der" ? WriteOctets(options.out, response.der()) : Write(options.out, response.pem());
      });
}

int GetJwks(const Options& options) {
  v1::GetJwksRequest request;
  request.set_client_id(options.client_id);
  return Call<v1::GetJwksRequest, v1::GetJwksResponse>(
      options, &Connection::GetJwks, request,
      [&](const auto& response) { return Write(options.out, response.jwks() + "\n"); });
}

}  // namespace

void AddMaterialNouns(CLI::App& app, Options& options, int& status) {
  auto* certificate = AddVerb(AddNoun(app, "certificate", "X.509 certificates"), "get",
                              "The certificate of a client's key, for the identity server",
                              "  assertionctl certificate get --client-id orders --out orders.pem", status,
                              [&options] { return GetCertificate(options); });
  AddClientId(certificate, options);
  AddDefaultedKid(certificate, options);
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

}  // namespace assertion::cli
