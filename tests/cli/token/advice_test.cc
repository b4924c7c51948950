#include "cli/token/advice.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

std::string AdviceForError(const std::string& error) {
  return AdviceFor({.status = 400, .body = R"({"error":")" + error + R"("})"});
}

TEST(Advice, FollowsTheErrorCode) {
  EXPECT_TRUE(AdviceForError("invalid_client").starts_with("compare audience, certificate and clock"));
  for (const auto* error : {"invalid_grant", "unauthorized_client", "invalid_scope", "invalid_target", "new_error"}) {
    EXPECT_EQ(AdviceForError(error).find("certificate"), std::string::npos) << error;
  }
  EXPECT_NE(AdviceForError("invalid_scope").find("--scope"), std::string::npos);
}

TEST(Advice, FollowsTheStatusWhereNoErrorCodeIsKnown) {
  for (const auto status : {404, 405}) {
    for (const auto* body : {"not found", R"({"error":"invalid_request"})"}) {
      EXPECT_EQ(
          AdviceFor({.status = status, .body = body}),
          "check the path of the endpoint's URL: is it the token endpoint? token request --issuer URL finds that");
    }
  }
  EXPECT_EQ(AdviceFor({.status = 503, .body = ""}), "the identity server failed: its log says why");
  EXPECT_EQ(AdviceFor({.status = 400, .body = R"({"error":7})"}), "the identity server's log says why");
}

TEST(Advice, ACertificateThatIsRefusedIsNotWaitedFor) {
  const std::string begin = "TLS with https://is.example.com: ";
  for (const auto* why : {"its certificate is self-signed or of an authority that is not trusted here",
                          "its certificate is refused: unable to get local issuer certificate",
                          "cannot read PEM certificates from the system's store",
                          "the file of authorities /ca.pem: no PEM certificate of an authority"}) {
    EXPECT_TRUE(AdviceOnCertificate(begin + why).contains("clients[].tokens.ca_file")) << why;
  }
  EXPECT_TRUE(AdviceOnCertificate(begin + "its certificate is refused: certificate has expired").contains("clocks"));
  EXPECT_TRUE(AdviceOnCertificate(begin + "its certificate is for another host name").contains("name the host"));
  EXPECT_EQ(AdviceOnCertificate(begin + "it ended the handshake, or speaks plain HTTP (http://)"), "");
  EXPECT_EQ(AdviceOnCertificate("no answer from https://is.example.com: connection refused, or no way to it"), "");
}

}  // namespace
}  // namespace assertion::cli
