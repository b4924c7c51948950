#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "oauth/http.h"

namespace assertion::cli {

// The certificate with which an application of WSO2 Identity Server verifies its client's assertions: one in PEM, or
// the URL of a JWK Set. The server silently ignores any other type. An empty `type` means that there is none.
struct Wso2Certificate {
  std::string type;   // PEM, JWKS
  std::string value;  // in the form that the server stores

  // The form that the server takes: the leaf alone, first octet '-', LF, no newline at the end. INVALID_ARGUMENT.
  static Result<Wso2Certificate> FromDer(BytesView leaf);
  static Wso2Certificate FromJwksUrl(std::string url) { return {.type = "JWKS", .value = std::move(url)}; }

  // True if `stored`, which the server answered, is this one: the same DER in a form that the server accepts.
  bool IsStoredAs(const Wso2Certificate& stored) const;
};

// The address of the Application Management REST API, and the credentials for it.
struct Wso2Settings {
  std::string base_url;     // https://host:9443, or with a path that ends with /api/server/v1
  std::string ca_file;      // PEM; empty: the system's
  std::string token;        // scopes internal_application_mgt_view and internal_application_mgt_update
  std::string application;  // its id
  std::string client_id;    // of the OAuth client that the application must belong to
};

// One application of WSO2 Identity Server. Every change is read back. An error's message has the server's HTTP status,
// code, message, description and traceId. UNAVAILABLE: no answer came, and the change may have been made;
// UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND, ABORTED, INVALID_ARGUMENT, INTERNAL: the server's 401, 403, 404, 409,
// 400, and any other; FAILED_PRECONDITION: the application differs from what was expected. Messages quote the server:
// show them Printable.
class Wso2Application {
 public:
  // Sends nothing yet. INVALID_ARGUMENT: a setting cannot be used.
  static Result<Wso2Application> New(Wso2Settings settings);

  // The present certificate. FAILED_PRECONDITION: the application belongs to another client.
  Result<Wso2Certificate> ReadCertificate() const;

  // Replaces the present certificate.
  Status Publish(const Wso2Certificate& certificate) const;

  // Sets the client's authentication to private_key_jwt. The rest of its OpenID Connect configuration stays unchanged.
  Status UsePrivateKeyJwt() const;

 private:
  Wso2Application(Wso2Settings settings, oauth::Url base) : settings_(std::move(settings)), base_(std::move(base)) {}

  Result<nlohmann::ordered_json> Call(const std::string& method, const std::string& path,
                                      const nlohmann::ordered_json& body) const;
  Result<nlohmann::ordered_json> Get(const std::string& path) const;
  Status CheckClient(const nlohmann::ordered_json& object) const;

  Wso2Settings settings_;
  oauth::Url base_;
};

// Says what an operator does about such an error.
std::string Wso2Remedy(const Error& error);

}  // namespace assertion::cli
