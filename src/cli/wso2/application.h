#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "assertion/bytes.h"
#include "assertion/error.h"
#include "cli/http.h"

namespace assertion::cli {

// What an application of WSO2 Identity Server verifies its client's assertions with: one PEM certificate, or the URL of
// a JWK Set. The server knows no third type and ignores one in silence; nothing is there when `type` is empty.
struct Wso2Certificate {
  std::string type;   // PEM, JWKS
  std::string value;  // as the server has it, or is to have it

  // The form that the server takes: the leaf alone, first octet '-', LF, no newline at the end. INVALID_ARGUMENT.
  static Result<Wso2Certificate> FromDer(BytesView leaf);
  static Wso2Certificate FromJwksUrl(std::string url) { return {.type = "JWKS", .value = std::move(url)}; }

  // Whether `stored`, which the server answered, is this one: the same DER in a form that the server accepts.
  bool IsStoredAs(const Wso2Certificate& stored) const;
};

// Where the Application Management REST API is, and on whose behalf to call it.
struct Wso2Settings {
  std::string base_url;     // https://host:9443, or with a path that ends with /api/server/v1
  std::string ca_file;      // PEM; empty: the system's
  std::string token;        // scopes internal_application_mgt_view and internal_application_mgt_update
  std::string application;  // its id
  std::string client_id;    // the OAuth client that it must be
};

// One application of WSO2 Identity Server. Every change is read back. An error's message has the server's HTTP status,
// code, message, description and traceId. UNAVAILABLE: no answer came, and what was sent may have been done;
// UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND, ABORTED, INVALID_ARGUMENT, INTERNAL: the server's 401, 403, 404, 409,
// 400, and anything else; FAILED_PRECONDITION: what is there is not what was to be there. Messages quote the server:
// show them Printable.
class Wso2Application {
 public:
  // Sends nothing yet. INVALID_ARGUMENT: a setting cannot be used.
  static Result<Wso2Application> New(Wso2Settings settings);

  // What the application's assertions are verified with now. FAILED_PRECONDITION: it belongs to another client.
  Result<Wso2Certificate> ReadCertificate() const;

  // Puts it in place of what is there.
  Status Publish(const Wso2Certificate& certificate) const;

  // Has the client authenticate by private_key_jwt. All else in its OpenID Connect configuration stays as it is.
  Status UsePrivateKeyJwt() const;

 private:
  Wso2Application(Wso2Settings settings, Url base) : settings_(std::move(settings)), base_(std::move(base)) {}

  Result<nlohmann::ordered_json> Call(const std::string& method, const std::string& path,
                                      const nlohmann::ordered_json& body) const;
  Result<nlohmann::ordered_json> Get(const std::string& path) const;
  Status CheckClient(const nlohmann::ordered_json& object) const;

  Wso2Settings settings_;
  Url base_;
};

// What an operator does about such an error.
std::string Wso2Remedy(const Error& error);

}  // namespace assertion::cli
