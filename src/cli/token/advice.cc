#include "cli/token/advice.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "oauth/token_answer.h"

namespace assertion::cli {
namespace {

struct Advice {
  std::string_view error;
  const char* next;
};

constexpr std::array<Advice, 7> kAdvice = {{
    {"invalid_client",
     "compare audience, certificate and clock: assertionctl assertion create … | assertionctl assertion inspect"},
    {"invalid_grant",
     "for a code: get a new one, codes are used once, and --redirect-uri and --code-verifier must be those of its "
     "request; for jwt-bearer: check the subject and whether the server trusts the issuer"},
    {"unauthorized_client", "allow this client the grant at the identity server, or choose another --grant"},
    {"unsupported_grant_type", "choose a --grant that the identity server offers"},
    {"invalid_scope", "ask with --scope for scopes that the identity server grants this client"},
    {"invalid_target", "ask with --resource for an API that the identity server knows"},
    {"invalid_request", "the identity server's description says which parameter is missing or wrong; see --param"},
}};

}  // namespace

std::string AdviceFor(const oauth::HttpAnswer& answer) {
  constexpr int kNotFound = 404;
  constexpr int kMethodNotAllowed = 405;
  constexpr int kServerError = 500;
  if (answer.status == kNotFound || answer.status == kMethodNotAllowed) {  // whatever its body calls the error
    return "check the path of the endpoint's URL: is it the token endpoint? token request --issuer URL finds that";
  }
  const auto* const advice = std::ranges::find(kAdvice, oauth::ErrorOf(answer), &Advice::error);
  if (advice != kAdvice.end()) {
    return advice->next;
  }
  return answer.status >= kServerError ? "the identity server failed: its log says why"
                                       : "the identity server's log says why";
}

std::string AdviceOnCertificate(std::string_view message) {
  if (!message.contains("TLS with ")) {
    return "";
  }
  if (message.contains("for another host name")) {
    return "name the host in clients[].tokens as the certificate does, or have the identity server's certificate "
           "renewed with this name";
  }
  if (message.contains("expired") || message.contains("not yet valid")) {
    return "have the identity server's certificate renewed, and compare the clocks of both machines";
  }
  return message.contains("its certificate is") || message.contains("the file of authorities") ||
                 message.contains("the system's store")
             ? "name a PEM file with the authority of the identity server's certificate as clients[].tokens.ca_file in "
               "assertiond's configuration, and reload it: systemctl reload assertiond"
             : "";
}

}  // namespace assertion::cli
