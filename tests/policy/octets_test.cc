// Octet for octet: the assertions of configurations that name no profile.

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "config/config.h"
#include "jws/base64url.h"
#include "places.h"
#include "policy/policy.h"
#include "policy/profiled_assertion.h"

namespace assertion {
namespace {

std::string FileText(const std::string& path) {
  auto file = ProjectFile(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The configuration inside the Kubernetes manifest or the script: from a line that is only "{" to the next "}" of the
// same indentation. Variables of a shell get values.
std::string JsonIn(const std::string& path) {
  const auto text = FileText(path);
  const auto key = text.find("\"hsm\"");
  const auto begin = text.rfind('{', key);
  const auto indent = begin - text.rfind('\n', begin) - 1;
  const auto end = text.find("\n" + std::string(indent, ' ') + "}", key);
  EXPECT_NE(end, std::string::npos) << path;
  auto json = text.substr(begin, end - begin) + "\n}";
  for (const auto& [variable, value] : {std::pair<std::string, std::string>{"$(id -u)", "1000"},
                                        {"$client", "orders"},
                                        {"$audience", "https://localhost:9443/oauth2/token"},
                                        {R"($(uri_path "$state/pin"))", "/state/pin"},
                                        {"$module", "/module.so"},
                                        {"$socket", "/state/socket"},
                                        {"$state", "/state"}}) {
    for (auto at = json.find(variable); at != std::string::npos; at = json.find(variable)) {
      json.replace(at, variable.size(), value);
    }
  }
  return json;
}

Client FirstClient(const std::string& json) {
  const auto config = ParseConfig(json, "/state");
  EXPECT_TRUE(config) << (config ? "" : config.error().front());
  return config ? config->clients.front() : Client();
}

Client ClientWith(const std::string& fields) {
  return FirstClient(R"({"hsm": "pkcs11:token=t?module-path=/m.so&pin-source=file:/p", "listen": "unix:/s",
                         "clients": [{"client_id": "orders", "callers": ["uid:1"],
                                      "audiences": ["https://is.example.com/token"])" +
                     fields + "}]}");
}

constexpr const char* kHeader = R"({"alg":"RS256","kid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","typ":"JWT"})";

std::string Claims(const std::string& client_id, const std::string& aud, const std::string& exp = "1700000300") {
  return R"({"iss":")" + client_id + R"(","sub":")" + client_id + R"(","aud":)" + aud + R"(,"iat":1700000000,"exp":)" +
         exp + R"(,"jti":"ffffffff-ffff-4fff-bfff-ffffffffffff"})";
}

void ExpectOctets(const Client& client, const std::string& claims, const std::string& header = kHeader) {
  const auto made = ProfiledAssertion(client, {.client_id = client.client_id, .audience = {}, .lifetime = {}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->header, header);
  EXPECT_EQ(made->claims, claims);
}

TEST(OctetsTest, ExampleConfigurations) {
  ExpectOctets(FirstClient(FileText("deploy/debian/assertiond.json")),
               Claims("CHANGE-ME", R"("https://localhost:9443/oauth2/token")"));
  ExpectOctets(FirstClient(JsonIn("deploy/kubernetes/configuration.yaml")),
               Claims("CHANGE-ME", R"("https://identity.example.org/oauth2/token")"));
  ExpectOctets(FirstClient(JsonIn("deploy/quickstart.sh")),
               Claims("orders", R"("https://localhost:9443/oauth2/token")"));
  ExpectOctets(FirstClient(JsonIn("deploy/container/compose.yaml")),
               Claims("orders", R"("https://localhost:9443/oauth2/token")"));
}

TEST(OctetsTest, FieldsThatWereThereBeforeProfiles) {
  ExpectOctets(ClientWith(""), Claims("orders", R"("https://is.example.com/token")"));
  ExpectOctets(ClientWith(R"(, "binding": "jwks")"), Claims("orders", R"("https://is.example.com/token")"));
  ExpectOctets(ClientWith(R"(, "audience_as_list": true)"), Claims("orders", R"(["https://is.example.com/token"])"));
  ExpectOctets(ClientWith(R"(, "default_lifetime": "60s", "max_lifetime": "24h", "clock_skew": "30s")"),
               Claims("orders", R"("https://is.example.com/token")", "1700000060"));
}

TEST(OctetsTest, ClientIdsThatLookLikeTemplatesStayAsTheyAre) {
  auto client = ClientWith("");
  client.client_id = R"({client_id} {kid} "\)";
  ExpectOctets(client, Claims(R"({client_id} {kid} \"\\)", R"("https://is.example.com/token")"));
}

}  // namespace
}  // namespace assertion
