#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "config/config.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kSection = R"("kubernetes_signer": {
    "listen": "unix:/run/assertiond/kubernetes.sock", "caller": "uid:0", "issuer": "https://cluster.example"
})";

// A configuration with this section, and these clients.
std::string File(const std::string& section, const std::string& clients = "[]") {
  return R"({"hsm": "pkcs11:token=prod?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin",
             "listen": "unix:/run/assertiond/assertiond.sock", "clients": )" +
         clients + ",\n" + section + "}";
}

// The section with one piece of text exchanged.
std::string With(const std::string& from, const std::string& to) {
  std::string text = kSection;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return File(text.replace(at, from.size(), to));
}

std::string WithField(const std::string& field) { return With(R"("caller")", field + R"(, "caller")"); }

void ExpectError(const std::string& text, const std::string& error) {
  const auto config = ParseConfig(text, "/state");
  ASSERT_FALSE(config) << error;
  EXPECT_EQ(config.error().front(), error);
}

TEST(KubernetesSection, DefaultsAreTheDocumentedOnes) {
  const auto config = ParseConfig(File(kSection), "/state");
  ASSERT_TRUE(config) << config.error().front();
  ASSERT_TRUE(config->kubernetes);
  EXPECT_EQ(config->kubernetes->socket_path, "/run/assertiond/kubernetes.sock");
  EXPECT_FALSE(config->kubernetes->socket_group);
  EXPECT_EQ(config->kubernetes->signer.caller, "uid:0");
  EXPECT_EQ(config->kubernetes->signer.client_id, "kubernetes");
  EXPECT_EQ(config->kubernetes->signer.max_lifetime, std::chrono::hours(24));
  ASSERT_EQ(config->clients.size(), 1U);
  const auto& ring = config->clients.front();
  EXPECT_EQ(ring.client_id, "kubernetes");
  EXPECT_TRUE(ring.callers.empty()) << "nobody has assertions made with these keys";
  EXPECT_EQ(ring.binding, Binding::kJwks);
  EXPECT_EQ(ring.algorithm->name, "RS256");
  EXPECT_EQ(ring.publish_lead, seconds(900));
  EXPECT_EQ(ring.publish_overlap(), std::chrono::hours(24) + seconds(60)) << "until the last token has expired";
  EXPECT_TRUE(config->warnings.empty());
  EXPECT_FALSE(ParseConfig(File(R"("refresh_interval": "5s")"), "/state")) << "clients may be empty beside it alone";
}

TEST(KubernetesSection, EveryFieldIsRead) {
  const auto config = ParseConfig(
      WithField(
          R"("listen_group": "root", "client_id": "cluster-a", "algorithm": "ES384", "max_lifetime": "600s", "publish_lead": "10s")"),
      "/state");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->kubernetes->socket_group, 0U);
  EXPECT_EQ(config->kubernetes->signer.max_lifetime, seconds(600));
  const auto& ring = config->clients.back();
  EXPECT_EQ(ring.client_id, "cluster-a");
  EXPECT_EQ(ring.algorithm->name, "ES384");
  EXPECT_EQ(ring.publish_lead, seconds(10));
  EXPECT_TRUE(ParseConfig(WithField(R"("max_lifetime": "8760h")"), "/state"));
}

TEST(KubernetesSection, WhatKubernetesWouldRefuseIsAnError) {
  ExpectError(
      WithField(R"("max_lifetime": "599s")"),
      R"(4: kubernetes_signer.max_lifetime: must be a duration such as "300s" (s, m or h) from 600s to 31536000s)");
  ExpectError(
      WithField(R"("max_lifetime": "8761h")"),
      R"(4: kubernetes_signer.max_lifetime: must be a duration such as "300s" (s, m or h) from 600s to 31536000s)");
  ExpectError(WithField(R"("algorithm": "PS256")"),
              "4: kubernetes_signer.algorithm: must be one of: RS256, ES256, ES384, ES512: kube-apiserver takes no "
              "other");
  ExpectError(With("https://cluster.example", ""),
              "4: kubernetes_signer.issuer: must be kube-apiserver's --service-account-issuer");
  ExpectError(With("https://cluster.example", "https://cluster.example "),
              "4: kubernetes_signer.issuer: has \\x20 at octet 24: no issuer has white space or a character that "
              "cannot be seen");
}

TEST(KubernetesSection, OneUserIsServed) {
  ExpectError(With(R"("caller": "uid:0")", R"("caller": "dns:host.example")"),
              "4: kubernetes_signer.caller: must be the user of kube-apiserver, \"uid:0\" or \"user:NAME\": it calls "
              "over a socket");
  ExpectError(With(R"("caller": "uid:0", )", ""), "3: kubernetes_signer.caller: is missing");
  EXPECT_EQ(ParseConfig(With("uid:0", "user:root"), "/state")->kubernetes->signer.caller, "uid:0");
}

TEST(KubernetesSection, KeysAndSocketAreItsOwn) {
  const auto* const client = R"([{"client_id": "kubernetes", "audiences": ["https://a.example"], "callers": []}])";
  ExpectError(File(kSection, client),
              "3: kubernetes_signer.client_id: is the id of a client: keys that sign service account tokens sign "
              "nothing else");
  ExpectError(WithField(R"("client_id": "assertiond-tls")"),
              "4: kubernetes_signer.client_id: is the name of a key of assertiond's own");
  ExpectError(With("/kubernetes.sock", "/assertiond.sock"),
              "4: kubernetes_signer.listen: is the socket of the other callers");
  ExpectError(WithField(R"("publish_lead": "9s")"),
              "4: kubernetes_signer.publish_lead: must be at least twice refresh_interval: all servers must know the "
              "key by then");
  ExpectError(WithField(R"("audiences": [])"), "4: kubernetes_signer.audiences: is not a known field");
}

TEST(KubernetesSection, AReloadTakesOverAllButTheSocket) {
  const auto before = *ParseConfig(File(kSection), "/state");
  const auto changed = [&](const std::string& text) {
    return FieldsThatNeedARestart(before, *ParseConfig(text, "/state"));
  };
  const std::vector<std::string> needs{"kubernetes_signer"};
  EXPECT_TRUE(changed(With("uid:0", "uid:2001")).empty());
  EXPECT_TRUE(changed(WithField(R"("max_lifetime": "1h")")).empty());
  EXPECT_EQ(changed(With("/kubernetes.sock", "/k.sock")), needs);
  EXPECT_EQ(changed(WithField(R"("listen_group": "root")")), needs);
  const auto* const client = R"([{"client_id": "a", "audiences": ["https://a.example"], "callers": []}])";
  EXPECT_EQ(changed(File(R"("refresh_interval": "5s")", client)), needs);
}

}  // namespace
}  // namespace assertion
