#include "config/config.h"

#include <gtest/gtest.h>

#include <tuple>

#include "config/duration.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kValid = R"({
  "hsm": "pkcs11:token=prod?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin",
  "listen": "unix:/run/assertiond/assertiond.sock",
  "clients": [
    {
      "client_id": "orders",
      "audiences": ["https://is.example.com/oauth2/token"], "callers": ["uid:1000"]
    }
  ]
})";

// The valid configuration with one piece of text exchanged.
std::string With(const std::string& from, const std::string& to) {
  std::string text = kValid;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Config, DefaultsAreTheDocumentedOnes) {
  const auto config = ParseConfig(kValid, "/var/lib/assertiond");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->hsms.front().module_path(), "/usr/lib/softhsm/libsofthsm2.so");
  EXPECT_EQ(config->hsms.front().pin_path(), "/run/pin");
  EXPECT_EQ(config->socket_path, "/run/assertiond/assertiond.sock");
  EXPECT_EQ(config->state_directory, "/var/lib/assertiond");
  EXPECT_EQ(config->lock_directory, "/var/lib/assertiond/lock");
  EXPECT_EQ(config->sessions, std::nullopt) << "measured";
  ASSERT_EQ(config->clients.size(), 1U);
  const auto& client = config->clients.front();
  EXPECT_EQ(client.default_lifetime, seconds(300));
  EXPECT_EQ(client.max_lifetime, seconds(300));
  EXPECT_FALSE(client.audience_as_list);
  EXPECT_EQ(client.algorithm->name, "RS256");
  EXPECT_TRUE(client.extra_claims.empty());
  EXPECT_EQ(client.callers, std::vector<std::string>{"uid:1000"});
  EXPECT_TRUE(config->operators.empty());
  EXPECT_FALSE(config->socket_group);
  EXPECT_TRUE(config->warnings.empty());
}

TEST(Config, EveryFieldIsRead) {
  const auto config = ParseConfig(
      With(R"("client_id": "orders",)",
           R"("client_id": "orders", "audience_as_list": true, "default_lifetime": "2m", "max_lifetime": "1h",
              "clock_skew": "30s", "algorithm": "ES384", "extra_claims": ["tenant", "trace"],)"),
      "/state");
  ASSERT_TRUE(config) << config.error().front();
  const auto& client = config->clients.front();
  EXPECT_TRUE(client.audience_as_list);
  EXPECT_EQ(client.default_lifetime, seconds(120));
  EXPECT_EQ(client.max_lifetime, seconds(3600));
  EXPECT_EQ(client.clock_skew, seconds(30));
  EXPECT_EQ(client.algorithm->name, "ES384");
  EXPECT_EQ(client.extra_claims.size(), 2U);
}

TEST(Config, EveryAlgorithmOfJwsThatSignsWithAKeyPairCanBeChosen) {
  for (const std::string name :
       {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}) {
    const auto config = ParseConfig(
        With(R"("client_id": "orders",)", R"("client_id": "orders", "algorithm": ")" + name + "\","), "/state");
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_EQ(config->clients.front().algorithm->name, name);
  }
}

TEST(Config, TheAuditLogIsOnAndInTheStateDirectory) {
  const auto config = ParseConfig(kValid, "/state");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->audit, (AuditConfig{.hsm = {}, .path = "/state/audit.log"}));
  EXPECT_TRUE(config->audit.enabled);
}

TEST(Config, EveryFieldOfTheAuditLogIsRead) {
  const auto config = ParseConfig(With(R"("clients")", R"("audit": {"enabled": false, "path": "/var/log/a",
      "rotate_octets": 4096, "checkpoint_lines": 7, "checkpoint_interval": "3s", "reserve": 0}, "clients")"),
                                  "/state");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->audit, (AuditConfig{.enabled = false,
                                        .hsm = {},
                                        .path = "/var/log/a",
                                        .rotate_octets = 4096,
                                        .checkpoint_lines = 7,
                                        .checkpoint_interval = seconds(3),
                                        .reserve = 0}));
  EXPECT_EQ(config->warnings.size(), 1U);
}

TEST(Config, RefusesWhatCannotBeAnAuditLog) {
  for (const char* wrong : {R"("path": "relative")", R"("path": "/folder/")", R"("rotate_octets": 1)",
                            R"("checkpoint_lines": 0)", R"("checkpoint_interval": "0s")", R"("reserve": -1)",
                            R"("reserve": 1099511627777)", R"("unknown": 1)", R"("enabled": "no")"}) {
    const auto config =
        ParseConfig(With(R"("clients")", std::string(R"("audit": {)") + wrong + R"(}, "clients")"), "/state");
    ASSERT_FALSE(config) << wrong;
    EXPECT_NE(config.error().front().find(": audit."), std::string::npos) << config.error().front();
  }
  EXPECT_FALSE(ParseConfig(With(R"("client_id": "orders")", R"("client_id": "assertiond-audit")"), "/state"));
}

TEST(Config, TheTwoPersonRule) {
  const auto rule = [](const std::string& fields) {
    return ParseConfig(With(R"("clients")", R"("operators": [{"caller": "uid:1", "roles": ["operator"]},
        {"caller": "uid:2", "roles": ["approver"]}], "two_person_rule": {)" +
                                                fields + R"(}, "clients")"),
                       "/state");
  };
  const auto config = rule(R"("methods": ["ImportCertificate", "DestroyKey"], "window": "2h")");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->two_person_rule,
            (TwoPersonRule{.methods = {"DestroyKey", "ImportCertificate"}, .window = seconds(7200)}));
  EXPECT_TRUE(config->warnings.empty());
  const std::set<std::string, std::less<>> all = {"AcceptLedger", "AdoptKey",          "DestroyKey",
                                                  "GenerateKey",  "ImportCertificate", "ImportKey",
                                                  "RevokeKey",    "RotateKey",         "ScheduleKey"};
  EXPECT_EQ(rule(R"("methods": "all")")->two_person_rule.methods, all);
  EXPECT_EQ(rule(R"("methods": ["all"])")->two_person_rule.methods, all);
  EXPECT_EQ(rule(R"("methods": ["GenerateKey"])")->two_person_rule.methods,
            (std::set<std::string, std::less<>>{"GenerateKey"}));
  const auto refused = [&](const std::string& fields, const std::string& part) {
    const auto wrong = rule(fields);
    ASSERT_FALSE(wrong) << fields;
    EXPECT_NE(wrong.error().front().find(part), std::string::npos) << wrong.error().front();
  };
  refused(R"("methods": ["Rotate"])", "two_person_rule.methods: no such method; did you mean \"RotateKey\"?");
  refused(R"("methods": ["rewokeKey"])", "did you mean \"RevokeKey\"?");
  refused(R"("methods": ["CreateCsr"])", R"(or "all" of them)");
  refused(R"("methods": "some")", "no such method");
  refused(R"("methods": 7)", "two_person_rule.methods: must be");
  refused(R"("methods": ["all"], "revoke_by_one_person": "yes")", "must be true or false");
  refused(R"("methods": ["RotateKey"], "revoke_by_one_person": true)", R"(methods must have RevokeKey, or be "all")");
  auto but_revoke = all;
  but_revoke.erase("RevokeKey");
  EXPECT_EQ(rule(R"("methods": "all", "revoke_by_one_person": true)")->two_person_rule.methods, but_revoke);
  EXPECT_EQ(rule(R"("methods": "all", "revoke_by_one_person": false)")->two_person_rule.methods, all);
  EXPECT_FALSE(rule(R"("window": "2h")"));
  EXPECT_FALSE(rule(R"("methods": ["RevokeKey"], "window": "59s")"));
  const auto alone = ParseConfig(With(R"("clients")", R"("operators": [{"caller": "uid:1", "roles":
      ["operator", "approver"]}], "two_person_rule": {"methods": ["DestroyKey"]}, "clients")"),
                                 "/state");
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->warnings.size(), 1U);
}

// By force, a key that is rescheduled, rotated out or destroyed is as good as revoked.
TEST(Config, ATwoPersonRuleThatOnePersonGoesRoundIsWarnedOf) {
  const auto warnings = [](const std::string& fields) {
    const auto config = ParseConfig(With(R"("clients")", R"("operators": [{"caller": "uid:1", "roles": ["operator"]},
        {"caller": "uid:2", "roles": ["approver"]}], "two_person_rule": {)" +
                                                             fields + R"(}, "clients")"),
                                    "/state");
    return config ? config->warnings : config.error();
  };
  const auto warning = [](const std::string& method, const std::string& other) {
    return "two_person_rule.methods: " + method + " is listed and " + other +
           " is not: by that, one operator alone can do the same: list both, or \"all\"";
  };
  using Warnings = std::vector<std::string>;
  EXPECT_EQ(warnings(R"("methods": ["RevokeKey", "DestroyKey", "ImportCertificate"])"),
            (Warnings{warning("RevokeKey", "ScheduleKey")}));
  EXPECT_EQ(warnings(R"("methods": ["RevokeKey", "ScheduleKey"])"), (Warnings{warning("RevokeKey", "DestroyKey")}));
  EXPECT_EQ(warnings(R"("methods": ["RotateKey"])"), (Warnings{warning("RotateKey", "ScheduleKey")}));
  EXPECT_EQ(warnings(R"("methods": ["GenerateKey"])"), (Warnings{warning("GenerateKey", "RotateKey")}));
  EXPECT_EQ(warnings(R"("methods": ["RevokeKey", "DestroyKey", "ScheduleKey"])"), Warnings());
  EXPECT_EQ(warnings(R"("methods": "all")"), Warnings());
  EXPECT_EQ(warnings(R"("methods": "all", "revoke_by_one_person": true)"), Warnings());
}

TEST(Config, TheLimitsOfKeys) {
  const auto limits = [](const std::string& fields) {
    return ParseConfig(With(R"("clients")", R"("key_limits": {)" + fields + R"(}, "clients")"), "/state");
  };
  const KeyLimits by_default{.per_client = 8, .generations_per_hour = 60, .client_generations_per_hour = 4};
  EXPECT_EQ(ParseConfig(kValid, "/state")->key_limits, by_default);
  EXPECT_EQ(limits("")->key_limits, by_default);
  EXPECT_EQ(limits(R"("per_client": 64, "generations_per_hour": 100000, "client_generations_per_hour": 1)")->key_limits,
            (KeyLimits{.per_client = 64, .generations_per_hour = 100000, .client_generations_per_hour = 1}));
  for (const auto* wrong :
       {R"("per_client": 0)", R"("per_client": 65)", R"("per_client": "8")", R"("generations_per_hour": 0)",
        R"("generations_per_hour": 100001)", R"("client_generations_per_hour": 0)", R"("per_client": 8, "x": 1)"}) {
    EXPECT_FALSE(limits(wrong)) << wrong;
  }
  EXPECT_EQ(limits(R"("per_client": 65)").error().front(), "4: key_limits.per_client: must be from 1 to 64");
}

TEST(Config, TheBudgetOfRefusals) {
  const auto budget = [](const std::string& fields) {
    return ParseConfig(With(R"("clients")", R"("refusals": {)" + fields + R"(}, "clients")"), "/state");
  };
  EXPECT_EQ(ParseConfig(kValid, "/state")->refusals, (Rate{.per_second = 10, .burst = 100}));
  EXPECT_EQ(budget(R"("per_second": 5, "burst": 9)")->refusals, (Rate{.per_second = 5, .burst = 9}));
  EXPECT_EQ(budget(R"("burst": 1)")->refusals, (Rate{.per_second = 10, .burst = 1}));
  for (const auto* wrong : {R"("burst": 0)", R"("per_second": 0)", R"("per_second": 1000001)", R"("x": 1)"}) {
    const auto refused = budget(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_NE(refused.error().front().find(": refusals."), std::string::npos) << refused.error().front();
  }
}

TEST(Config, HowManyConnections) {
  const auto connections = [](const std::string& fields) {
    return ParseConfig(With(R"("clients")", R"("connections": {)" + fields + R"(}, "clients")"), "/state");
  };
  EXPECT_EQ(ParseConfig(kValid, "/state")->connections, (ConnectionsConfig{.per_peer = 64, .total = 1024}));
  EXPECT_EQ(connections(R"("per_peer": 1, "total": 65536)")->connections,
            (ConnectionsConfig{.per_peer = 1, .total = 65536}));
  EXPECT_EQ(connections(R"("handshakes": 65536)")->connections.handshakes, 65536U);
  for (const auto* wrong : {R"("per_peer": 0)", R"("total": 0)", R"("total": 65537)", R"("total": "5")",
                            R"("handshakes": 0)", R"("x": 1)"}) {
    const auto refused = connections(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_NE(refused.error().front().find(": connections."), std::string::npos) << refused.error().front();
  }
}

TEST(Config, TheCallersRate) {
  const auto rate = [](const std::string& fields) {
    return ParseConfig(With(R"("clients")", R"("caller_rate": {)" + fields + R"(}, "clients")"), "/state");
  };
  EXPECT_EQ(rate(R"("per_second": 5, "burst": 9)")->caller_rate, (Rate{.per_second = 5, .burst = 9}));
  EXPECT_EQ(rate(R"("per_second": 5)")->caller_rate, (Rate{.per_second = 5, .burst = 5}));
  for (const auto* wrong : {R"("burst": 5)", R"("per_second": 0)", R"("per_second": 1000001)",
                            R"("per_second": 1, "burst": 0)", R"("per_second": 0.5)", R"("per_second": 1, "x": 1)"}) {
    EXPECT_FALSE(rate(wrong)) << wrong;
  }
}

TEST(Config, EveryFieldOfTlsIsRead) {
  const auto config = ParseConfig(With(R"("clients")", R"("tls": {"listen": "[::1]:8443", "certificate": "/tls.pem",
      "client_ca": "/ca.pem", "crl_directory": "/crls"}, "clients")"),
                                  "/state");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->tls, (TlsConfig{.host = "::1",
                                    .port = 8443,
                                    .hsm = {},
                                    .certificate = "/tls.pem",
                                    .client_ca = "/ca.pem",
                                    .crl_directory = "/crls"}));
}

// The errors of a configuration whose field hsm is this; empty: it is valid.
std::string HsmErrors(const std::string& hsm) {
  const auto config = ParseConfig(R"({"hsm": )" + hsm + R"(, "listen": "unix:/run/a.sock",
      "clients": [{"client_id": "a", "callers": [], "audiences": ["https://a"]}]})",
                                  "/state");
  std::string errors;
  for (const auto& error : config ? std::vector<std::string>() : config.error()) {
    errors += error + "\n";
  }
  return errors;
}

std::string HsmObject(const std::string& more, const std::string& token = "prod", const std::string& module = "/m.so") {
  return R"({"uri": "pkcs11:token=)" + token + "?module-path=" + module + R"(&pin-source=file:/pin")" +
         (more.empty() ? "" : ", " + more) + "}";
}

TEST(Config, AnHsmMayBeAnObject) {
  const auto config = ParseConfig(R"({"hsm": )" + HsmObject(R"("init_args": "configdir='sql:/nss' secmod='secmod.db'",
        "environment": {"YUBIHSM_PKCS11_CONF": "/etc/yubihsm.conf"}, "accept_unshown": ["CKA_LOCAL", "custody"])") +
                                      R"(, "listen": "unix:/run/a.sock",
      "clients": [{"client_id": "a", "callers": [], "audiences": ["https://a"]}]})",
                                  "/state");
  ASSERT_TRUE(config) << config.error().front();
  const auto& hsm = config->hsms.at(0);
  EXPECT_EQ(hsm.token_label(), "prod");
  EXPECT_EQ(hsm.init_args, "configdir='sql:/nss' secmod='secmod.db'");
  EXPECT_EQ(hsm.environment, (std::map<std::string, std::string>{{"YUBIHSM_PKCS11_CONF", "/etc/yubihsm.conf"}}));
  EXPECT_EQ(hsm.accept_unshown, (AttributeNames{"CKA_LOCAL", "custody"}));
  EXPECT_EQ(HsmErrors(HsmObject("")), "");
  EXPECT_EQ(HsmErrors("[" + HsmObject("") + ", \"pkcs11:token=b?module-path=/m.so&pin-source=file:/pin\"]"), "");
}

TEST(Config, TheMembersOfAnHsmAreRefusedByNameAndReason) {
  for (const auto& [more, reason] : {
           std::pair(R"("accept_unshown": ["CKA_SENSITIVE"])", "hsm.accept_unshown: CKA_SENSITIVE cannot be given up"),
           {R"("accept_unshown": ["CKA_EXTRACTABLE"])", "CKA_EXTRACTABLE cannot be given up"},
           {R"("accept_unshown": ["CKA_LOKAL"])", "must be of this list: CKA_ALWAYS_SENSITIVE"},
           {R"("init_args": "a\u0000b")", "hsm.init_args: must be at most 4096 octets"},
           {R"("init_args": "a\nb")", "hsm.init_args"},
           {R"("environment": {"LD_PRELOAD": "/evil.so"})", "hsm.environment: may set variables"},
           {R"("environment": {"LD_LIBRARY_PATH": "/evil"})", "LD_LIBRARY_PATH"},
           {R"("environment": {"OPENSSL_CONF": "/evil"})", "OPENSSL_CONF"},
           {R"("environment": {"STATE_DIRECTORY": "/evil"})", "STATE_DIRECTORY"},
           {R"("environment": {"GLIBC_TUNABLES": "x"})", "GLIBC_TUNABLES"},
           {R"("environment": {"A-B": "x"})", "letters, digits, _"},
           {R"("environment": {"A=B": "x"})", "letters, digits, _"},
           {R"("environment": {"A": "x", "A": "y"})", "A is set twice"},
           {R"("environment": {"A": 1})", "A must be a string"},
           {R"("environment": {"A": "x\u0000y"})", "A must be a string"},
           {R"("environment": ["A"])", "must be an object"},
           {R"("unknown": 1)", "hsm.unknown"},
       }) {
    EXPECT_NE(HsmErrors(HsmObject(more)).find(reason), std::string::npos) << more << "\n" << HsmErrors(HsmObject(more));
  }
  EXPECT_NE(HsmErrors("{}").find("hsm.uri"), std::string::npos);
  EXPECT_NE(HsmErrors("7").find("must be a PKCS#11 URI, an object"), std::string::npos);
}

TEST(Config, HsmsOfOneModuleShareItsArgumentsAndTheProcessItsEnvironment) {
  const auto two = [](const std::string& first, const std::string& second, const std::string& module = "/m.so") {
    return HsmErrors("[" + HsmObject(first) + ", " + HsmObject(second, "west", module) + "]");
  };
  EXPECT_NE(two(R"("init_args": "a")", R"("init_args": "b")").find("the same init_args"), std::string::npos);
  EXPECT_EQ(two(R"("init_args": "a")", R"("init_args": "b")", "/other.so"), "");
  EXPECT_NE(two(R"("environment": {"A": "1"})", R"("environment": {"A": "2"})", "/other.so").find("different values"),
            std::string::npos);
  EXPECT_EQ(two(R"("environment": {"A": "1"})", R"("environment": {"A": "1", "B": "2"})"), "");
  EXPECT_NE(HsmErrors("[" + HsmObject("") + ", " + HsmObject("") + "]").find("must not name one HSM twice"),
            std::string::npos);
}

TEST(Config, TlsAndTheAuditLogNameTheirHsmByItsTokensLabel) {
  const auto parse = [](const std::string& hsms, const std::string& name) {
    return ParseConfig(R"({"hsm": [)" + hsms + R"(], "listen": "unix:/run/a.sock",
      "audit": {"hsm": ")" +
                           name + R"("}, "tls": {"listen": "[::1]:8443", "hsm": ")" + name + R"(",
      "certificate": "/tls.pem", "client_ca": "/ca.pem"},
      "clients": [{"client_id": "a", "callers": [], "audiences": ["https://a"]}]})",
                       "/state");
  };
  const std::string east = R"("pkcs11:token=east%20side?module-path=/m.so&pin-source=file:/pin")";
  const std::string west = R"("pkcs11:token=west?module-path=/m.so&pin-source=file:/pin")";
  const std::string unnamed = R"("pkcs11:serial=7?module-path=/m.so&pin-source=file:/pin")";
  const auto config = parse(east + "," + unnamed + "," + west, "west");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->RankOf(config->tls->hsm), 2U);
  EXPECT_EQ(config->RankOf(config->audit.hsm), 2U);
  EXPECT_EQ(config->RankOf(""), 0U);
  EXPECT_TRUE(parse(east + "," + west, "east side"));
  for (const auto& [hsms, name, reason] :
       {std::tuple(east + "," + west, "north", "URIs in the field hsm at the top: east side, west"),
        {east + "," + west, "", "must be the token attribute"},
        {unnamed, "7", "none of which has it"},
        {west + R"(,"pkcs11:token=west;serial=9?module-path=/m.so&pin-source=file:/pin")", "west", "several URIs"}}) {
    const auto wrong = parse(hsms, name);
    ASSERT_FALSE(wrong) << name;
    ASSERT_EQ(wrong.error().size(), 2U);
    EXPECT_NE(wrong.error()[0].find(": audit.hsm: "), std::string::npos) << wrong.error()[0];
    EXPECT_NE(wrong.error()[1].find(": tls.hsm: "), std::string::npos) << wrong.error()[1];
    EXPECT_NE(wrong.error()[1].find(reason), std::string::npos) << wrong.error()[1];
  }
}

TEST(Config, HowLongCrlsStayInForceThatCannotBeRead) {
  const auto grace = [](const std::string& fields) {
    return ParseConfig(With(R"("clients")", R"("tls": {"listen": "[::1]:8443", "certificate": "/tls.pem",
      "client_ca": "/ca.pem")" + fields + R"(}, "clients")"),
                       "/state");
  };
  EXPECT_EQ(grace("")->tls->crl_grace, std::chrono::hours(1));
  EXPECT_EQ(grace(R"(, "crl_directory": "/crls", "crl_grace": "0s")")->tls->crl_grace, std::chrono::seconds(0));
  EXPECT_EQ(grace(R"(, "crl_directory": "/crls", "crl_grace": "168h")")->tls->crl_grace, std::chrono::days(7));
  for (const auto* wrong : {R"(, "crl_grace": "1h")", R"(, "crl_directory": "/crls", "crl_grace": "169h")",
                            R"(, "crl_directory": "/crls", "crl_grace": 60)"}) {
    const auto config = grace(wrong);
    ASSERT_FALSE(config) << wrong;
    EXPECT_NE(config.error().front().find(": tls.crl_grace: "), std::string::npos) << config.error().front();
  }
}

TEST(Config, TlsWithoutCertificateOrAuthoritiesIsRefused) {
  for (const char* wrong :
       {R"("listen": "0.0.0.0:1", "certificate": "/a")", R"("listen": "0.0.0.0:1", "client_ca": "/a")",
        R"("certificate": "/a", "client_ca": "/a")", R"("listen": "8443", "certificate": "/a", "client_ca": "/a")",
        R"("listen": "0.0.0.0:1", "certificate": "a", "client_ca": "/a")",
        R"("listen": "0.0.0.0:1", "certificate": "/a", "client_ca": "/a", "insecure": true)"}) {
    const auto config =
        ParseConfig(With(R"("clients")", std::string(R"("tls": {)") + wrong + R"(}, "clients")"), "/state");
    ASSERT_FALSE(config) << wrong;
    EXPECT_NE(config.error().front().find(": tls."), std::string::npos) << config.error().front();
  }
}

TEST(Config, OperatorsAndTheGroupOfTheSocket) {
  const auto config = ParseConfig(With(R"("clients")", R"("listen_group": "root", "operators": [
      {"caller": "spiffe://example.org/ops/*", "roles": ["viewer", "approver"]},
      {"caller": "user:root", "roles": []}], "clients")"),
                                  "/state");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->socket_group, 0U);
  ASSERT_EQ(config->operators.size(), 2U);
  EXPECT_EQ(config->operators[0].caller, "spiffe://example.org/ops/*");
  EXPECT_EQ(config->operators[0].roles, (std::vector{Role::kViewer, Role::kApprover}));
  EXPECT_EQ(config->operators[1].caller, "uid:0");
}

TEST(Config, AModulesEnvironmentReachesNothingElse) {
  const auto with = [](std::string_view name) {
    return ParseConfig(
        R"({"hsm": {"uri": "pkcs11:token=prod?module-path=/m.so&pin-source=file:/p", "environment": {")" +
            std::string(name) + R"(": "x"}}, "listen": "unix:/s", "clients": []})",
        "/state");
  };
  for (const auto* name : {"LD_PRELOAD",
                           "ld_audit",
                           "TZ",
                           "LANG",
                           "LC_ALL",
                           "LOCPATH",
                           "NLSPATH",
                           "RES_OPTIONS",
                           "HOSTALIASES",
                           "PATH",
                           "OPENSSL_MODULES",
                           "SSL_CERT_FILE",
                           "SSLKEYLOGFILE",
                           "CTLOG_FILE",
                           "RANDFILE",
                           "QLOGDIR",
                           "PKCS11_PROVIDER_MODULE",
                           "PKCS11_PROVIDER_DEBUG",
                           "PKCS11_MODULE_PATH",
                           "GRPC_TRACE",
                           "grpc_verbosity",
                           "NOTIFY_SOCKET",
                           "SYSTEMD_LOG_LEVEL",
                           "CREDENTIALS_DIRECTORY",
                           "INVOCATION_ID",
                           "JOURNAL_STREAM",
                           "RUNTIME_DIRECTORY",
                           "ASSERTIOND_SERVER"}) {
    const auto config = with(name);
    ASSERT_FALSE(config) << name;
    EXPECT_TRUE(std::ranges::any_of(config.error(), [&](const auto& error) { return error.contains(name); })) << name;
  }
  for (const auto* name : {"ChrystokiConfigurationPath", "CKNFAST_LOADSHARING", "PKCS11_PROXY_SOCKET", "HOME"}) {
    const auto config = with(name);
    EXPECT_TRUE(config || std::ranges::none_of(config.error(), [](const auto& e) { return e.contains("environment"); }))
        << name;
  }
}

TEST(Config, NamesTheFieldsThatNeedARestart) {
  const auto before = *ParseConfig(kValid, "/state");
  const auto changed = [&](const std::string& from, const std::string& to) {
    return FieldsThatNeedARestart(before, *ParseConfig(With(from, to), "/state"));
  };
  EXPECT_TRUE(changed("uid:1000", "uid:1001").empty());
  EXPECT_EQ(changed("token=prod", "token=test"), std::vector<std::string>{"hsm"});
  EXPECT_EQ(changed("assertiond.sock", "other.sock"), std::vector<std::string>{"listen"});
  EXPECT_EQ(changed(R"("clients")",
                    R"("listen_group": "root", "state_directory": "/a", "sessions": 200, "ledger": "file:/l",
                       "refresh_interval": "9s", "drain_limit": "9s", "http_listen": "127.0.0.1:1",
                       "admin_listen": "127.0.0.1:2", "refusals": {"burst": 1},
                       "tls": {"listen": "127.0.0.1:0", "certificate": "/c", "client_ca": "/a"},
                       "connections": {"total": 1}, "clients")"),
            (std::vector<std::string>{"listen_group", "state_directory", "lock_directory", "sessions", "ledger",
                                      "refresh_interval", "drain_limit", "audit", "refusals", "connections", "tls",
                                      "http_listen", "admin_listen"}));
}

TEST(Config, TheLockDirectoryMayBeAnotherThanTheStateDirectory) {
  const auto config = ParseConfig(
      With(R"("clients")", R"("lock_directory": "/run/assertiond", "state_directory": "/a", "clients")"), "/state");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->lock_directory, "/run/assertiond");
  EXPECT_EQ(config->state_directory, "/a");
}

TEST(Config, LedgerRefreshListenerAndBinding) {
  const auto by_default = *ParseConfig(kValid, "/state");
  EXPECT_EQ(by_default.ledger_path, "");
  EXPECT_EQ(by_default.refresh_interval, seconds(5));
  EXPECT_EQ(by_default.http_host, "");
  EXPECT_EQ(by_default.clients.front().binding, Binding::kCertificate);
  EXPECT_EQ(by_default.clients.front().publish_lead, seconds(900));
  EXPECT_FALSE(by_default.clients.front().sign_with_expired_certificate);
  EXPECT_FALSE(by_default.clients.front().imported_keys);

  const auto config = ParseConfig(With(R"("clients": [
    {)",
                                       R"("ledger": "file:/var/lib/a/ledger.json", "refresh_interval": "10s",
   "http_listen": "[::1]:0", "clients": [
    { "binding": "jwks", "publish_lead": "40s", "sign_with_expired_certificate": true, "imported_keys": true,)"),
                                  "/state");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->ledger_path, "/var/lib/a/ledger.json");
  EXPECT_EQ(config->refresh_interval, seconds(10));
  EXPECT_EQ(config->http_host, "::1");
  EXPECT_EQ(config->http_port, 0);
  EXPECT_EQ(config->clients.front().binding, Binding::kJwks);
  EXPECT_EQ(config->clients.front().publish_lead, seconds(40));
  EXPECT_TRUE(config->clients.front().sign_with_expired_certificate);
  EXPECT_TRUE(config->clients.front().imported_keys);
  EXPECT_TRUE(config->warnings.empty());
  EXPECT_EQ(ParseConfig(With(R"("clients")", R"("ledger": "token", "clients")"), "/state")->ledger_path, "");
}

TEST(Config, WarnsOfPlainHttpBeyondThisMachine) {
  for (const char* host : {"0.0.0.0", "[::]", "10.0.0.1", "example.com"}) {
    const auto config =
        ParseConfig(With(R"("clients")", R"("http_listen": ")" + std::string(host) + R"(:80", "clients")"), "/state");
    ASSERT_TRUE(config) << host;
    EXPECT_EQ(config->warnings.size(), 1U) << host;
  }
  for (const char* host : {"127.0.0.1", "[::1]", "localhost"}) {
    const auto config =
        ParseConfig(With(R"("clients")", R"("http_listen": ")" + std::string(host) + R"(:80", "clients")"), "/state");
    ASSERT_TRUE(config) << host;
    EXPECT_TRUE(config->warnings.empty()) << host;
  }
}

// A probe does not wait for the HSM, which signs each handshake: it is plain HTTP, and other machines ask.
TEST(Config, ProbesHaveAListenerOfTheirOwnWhenTheyAreGivenOne) {
  const auto none = ParseConfig(With("", ""), "/state");
  ASSERT_TRUE(none) << none.error().front();
  EXPECT_EQ(none->admin_host, "");
  const auto given = ParseConfig(With(R"("clients")", R"("admin_listen": "[::]:8090", "clients")"), "/state");
  ASSERT_TRUE(given) << given.error().front();
  EXPECT_EQ(given->admin_host, "::");
  EXPECT_EQ(given->admin_port, 8090);
  EXPECT_TRUE(given->warnings.empty());
}

TEST(Config, AShorterMaximumShortensTheDefault) {
  const auto config = ParseConfig(With(R"("client_id")", R"("max_lifetime": "60s", "client_id")"), "/state");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->clients.front().default_lifetime, seconds(60));
}

TEST(Config, WarnsOfAnAudienceInTheClear) {
  const auto warnings = [](const std::string& audience) {
    const auto config = ParseConfig(With("https://is.example.com/oauth2/token", audience), "/state");
    EXPECT_TRUE(config) << config.error().front();
    return config ? config->warnings.size() : 0;
  };
  for (const auto* fine : {"https://is.example.com", "urn:is", "http://localhost:8080/realms/demo",
                           "http://127.0.0.1:8080/token", "http://[::1]/token", "http://localhost"}) {
    EXPECT_EQ(warnings(fine), 0U) << fine;
  }
  for (const auto* doubtful : {"http://is.example.com/token", "http://localhost.example.com", "orders", "http://"}) {
    EXPECT_EQ(warnings(doubtful), 1U) << doubtful;
  }
}

TEST(Config, WarnsOfALifetimeThatTheSkewEats) {
  const auto config =
      ParseConfig(With(R"("client_id")", R"("default_lifetime": "300s", "clock_skew": "300s", "client_id")"), "/state");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->warnings.size(), 1U);
  EXPECT_NE(config->warnings.front().find("refuse every assertion as expired"), std::string::npos);
}

TEST(Config, WarnsOfAPublishLeadThatOneFailedRefreshUsesUp) {
  const auto config =
      ParseConfig(With(R"("client_id")", R"("binding": "jwks", "publish_lead": "19s", "client_id")"), "/state");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->warnings.size(), 1U);
  EXPECT_TRUE(config->warnings.front().starts_with("clients[0].publish_lead: ")) << config->warnings.front();
}

TEST(Config, AllErrorsComeAtOnce) {
  const auto config = ParseConfig(R"({
  "listen": "tcp:1",
  "clients": [ { "client_id": 7 } ],
  "extra": 1
})",
                                  "/state");
  ASSERT_FALSE(config);
  const std::vector<std::string> expected = {
      "1: hsm: is missing",
      "2: listen: must be unix: and an absolute path, for example unix:/run/assertiond/assertiond.sock",
      "3: clients[0].client_id: must be a string",
      "3: clients[0].audiences: is missing",
      "3: clients[0].callers: is missing",
      "4: extra: is not a known field"};
  EXPECT_EQ(config.error(), expected);
}

struct Wrong {
  const char* from;
  const char* to;
  const char* error;
};

class WrongConfig : public testing::TestWithParam<Wrong> {};

TEST_P(WrongConfig, NamesFieldAndLine) {
  const auto config = ParseConfig(With(GetParam().from, GetParam().to), "/state");
  ASSERT_FALSE(config);
  ASSERT_EQ(config.error().size(), 1U) << config.error()[1];
  EXPECT_EQ(config.error().front().substr(0, std::string(GetParam().error).size()), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Config, WrongConfig,
    testing::Values(
        Wrong{R"("listen")", R"("listne": 1, "listen")", "3: listne: is not a known field"},
        Wrong{R"("listen")", "\"listen\": \"unix:/x\",\n \"listen\"", "4: listen: is repeated"},
        Wrong{R"("client_id": "orders")", "\"client_id\": \"orders\",\n\"client_id\": \"b\"",
              "7: clients[0].client_id: is repeated"},
        Wrong{R"("clients": [)", R"("clients": [ [], )", "4: clients[0]: must be an object"},
        Wrong{R"("client_id": "orders")", "\"client_id\":\n 5", "7: clients[0].client_id: must be a string"},
        Wrong{R"("orders")", R"("")", "6: clients[0].client_id: must be 1 to 255 printable ASCII"},
        Wrong{R"("orders")", "\"\\u00e9\"", "6: clients[0].client_id: must be 1 to 255 printable ASCII"},
        Wrong{R"(["uid:1000"])", R"(["anybody"])", "7: clients[0].callers[0]: must be uid:NUMBER, user:NAME"},
        Wrong{R"(["uid:1000"])", R"(["uid:1", "uid:01"])", "7: clients[0].callers[1]: uid: must be a number"},
        Wrong{R"(["uid:1000"])", "[\"uid:1\",\n\"usr:app\"]", "8: clients[0].callers[1]: must be uid:NUMBER"},
        Wrong{R"(["uid:1000"])", R"(["uid:65534"])", "7: clients[0].callers[0]: uid 65534 is the overflow uid"},
        Wrong{R"("clients")", R"("operators": [{"caller": "user:nobody", "roles": []}], "clients")",
              "4: operators[0].caller: uid 65534 is the overflow uid"},
        Wrong{"oauth2/token\"]", "oauth2/token \"]", "7: clients[0].audiences[0]: has \\x20 at octet 36: "},
        Wrong{"oauth2/token\"]", "oauth2/token\\n\"]", "7: clients[0].audiences[0]: has \\x0a at octet 36: "},
        Wrong{"oauth2/token\"]", "oauth2/token\", \"\\u200bx\"]",
              "7: clients[0].audiences[1]: has \\xe2\\x80\\x8b at octet 1: "},
        Wrong{R"("client_id": "orders")", R"("client_id": "orders ")",
              "6: clients[0].client_id: must not begin or end with a blank"},
        Wrong{R"("clients")", R"("operators": [{"roles": []}], "clients")", "4: operators[0].caller: is missing"},
        Wrong{R"("clients")", R"("operators": [{"caller": "uid:0"}], "clients")", "4: operators[0].roles: is missing"},
        Wrong{R"("clients")", R"("operators": [{"caller": "root", "roles": []}], "clients")",
              "4: operators[0].caller: must be uid:NUMBER"},
        Wrong{R"("clients")", R"("operators": [{"caller": "uid:0", "roles": ["root"]}], "clients")",
              "4: operators[0].roles: must be some of: viewer, operator, approver"},
        Wrong{R"("clients")",
              "\"operators\": [{\"caller\": \"uid:0\", \"roles\": [\"operator\"]},\n"
              "{\"caller\": \"user:root\", \"roles\": [\"approver\"]}], \"clients\"",
              "5: operators[1].caller: is the caller of operators[0], uid:0: list all roles of a caller in one entry"},
        Wrong{R"("clients")", R"("listen_group": "nobody-has-this", "clients")",
              "4: listen_group: this machine has no group \"nobody-has-this\": make it first (groupadd --system NAME)"},
        Wrong{R"("clients")", R"("ledger": "/ledger", "clients")", "4: ledger: must be"},
        Wrong{R"("clients")", R"("ledger": "file:ledger", "clients")", "4: ledger: must be"},
        Wrong{R"("clients")", R"("refresh_interval": "0s", "clients")", "4: refresh_interval: must be a duration"},
        Wrong{R"("clients")", R"("refresh_interval": "61m", "clients")", "4: refresh_interval: must be a duration"},
        Wrong{R"("clients")", R"("http_listen": "127.0.0.1", "clients")", "4: http_listen: must be HOST:PORT"},
        Wrong{R"("clients")", R"("http_listen": ":80", "clients")", "4: http_listen: must be HOST:PORT"},
        Wrong{R"("clients")", R"("http_listen": "h:65536", "clients")", "4: http_listen: must be HOST:PORT"},
        Wrong{R"("clients")", R"("http_listen": "h:-1", "clients")", "4: http_listen: must be HOST:PORT"},
        Wrong{R"("clients")", R"("admin_listen": "unix:/a", "clients")", "4: admin_listen: must be HOST:PORT"},
        Wrong{R"("clients")", R"("http_listen": "h:80", "admin_listen": "h:80", "clients")",
              "4: admin_listen: is the address of http_listen: leave it out, or take another port"},
        Wrong{R"("clients")", R"("admin_listen": 8090, "clients")", "4: admin_listen: must be a string"},
        Wrong{R"("client_id")", R"("binding": "pem", "client_id")", "6: clients[0].binding: must be"},
        Wrong{R"("client_id")", R"("publish_lead": "60s", "client_id")",
              "6: clients[0].publish_lead: is for the binding \"jwks\" only"},
        Wrong{R"("client_id")", R"("binding": "jwks", "publish_lead": "9s", "client_id")",
              "6: clients[0].publish_lead: must be at least twice refresh_interval"},
        Wrong{R"("client_id")", R"("imported_keys": "yes", "client_id")",
              "6: clients[0].imported_keys: must be true or false"},
        Wrong{R"("client_id")", R"("sign_with_expired_certificate": 1, "client_id")",
              "6: clients[0].sign_with_expired_certificate: must be true or false"},
        Wrong{R"(["https://is.example.com/oauth2/token"])", "[]", "7: clients[0].audiences: must name at least one"},
        Wrong{R"(["https://is.example.com/oauth2/token"])", "[\n5]",
              "8: clients[0].audiences[0]: must be a string that is not empty"},
        Wrong{R"(["https://is.example.com/oauth2/token"])", R"(["a", "a"])", "7: clients[0].audiences[1]: is repeated"},
        Wrong{R"("client_id")", R"("default_lifetime": 300, "client_id")",
              "6: clients[0].default_lifetime: must be a duration"},
        Wrong{R"("client_id")", R"("default_lifetime": "0s", "client_id")",
              "6: clients[0].default_lifetime: must be a duration"},
        Wrong{R"("client_id")", R"("default_lifetime": "-1s", "client_id")",
              "6: clients[0].default_lifetime: must be a duration"},
        Wrong{R"("client_id")", R"("max_lifetime": "25h", "client_id")",
              "6: clients[0].max_lifetime: must be a duration"},
        Wrong{R"("client_id")", R"("default_lifetime": "301s", "max_lifetime": "300s", "client_id")",
              "6: clients[0].default_lifetime: must not be longer than max_lifetime"},
        Wrong{R"("client_id")", R"("algorithm": "none", "client_id")",
              "6: clients[0].algorithm: must be one of: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, "
              "EdDSA"},
        Wrong{R"("client_id")", R"("algorithm": "HS256", "client_id")",
              "6: clients[0].algorithm: must be one of: RS256"},
        Wrong{R"("client_id")", R"("algorithm": "es256", "client_id")",
              "6: clients[0].algorithm: must be one of: RS256"},
        Wrong{R"("client_id")", R"("extra_claims": ["sub"], "client_id")",
              "6: clients[0].extra_claims: 'sub' is reserved"},
        Wrong{R"("client_id")", R"("extra_claims": ["Iss"], "client_id")",
              "6: clients[0].extra_claims: 'Iss' is reserved"},
        Wrong{R"("client_id")", "\"extra_claims\": [\"i\xC5\xBFs\"], \"client_id\"",
              "6: clients[0].extra_claims: 'i\\xc5\\xbfs' is reserved"},
        Wrong{R"("client_id")", R"("extra_claims": ["iss "], "client_id")",
              "6: clients[0].extra_claims: 'iss ' has \\x20 at octet 4"},
        Wrong{R"("client_id")", R"("audience_as_list": "yes", "client_id")",
              "6: clients[0].audience_as_list: must be true or false"},
        Wrong{R"("listen")", R"("state_directory": "/a\u0000b", "listen")",
              "3: state_directory: must be an absolute path"},
        Wrong{R"("listen")", R"("sessions": 0, "listen")", "3: sessions: must be from 1 to 256"},
        Wrong{R"("listen")", R"("sessions": 2.5, "listen")", "3: sessions: must be an integer"},
        Wrong{R"("listen")", R"("state_directory": "x", "listen")", "3: state_directory: must be an absolute path"},
        Wrong{R"("listen")", R"("lock_directory": "x", "listen")", "3: lock_directory: must be an absolute path"},
        Wrong{"unix:/run/assertiond/assertiond.sock", "localhost:50051", "3: listen: must be unix:"},
        Wrong{"/run/assertiond/",
              "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/",
              "3: listen: the path must have at most 107 octets"},
        Wrong{"&pin-source=file:/run/pin", "", "2: hsm: pin-source must name the file"},
        Wrong{"&pin-source=file:/run/pin", "&pin-value=123456", "2: hsm: pin-value is refused"},
        Wrong{"pin-source=file:/run/pin", "pin-source=|cat", "2: hsm: pin-source must name the file"},
        Wrong{"module-path=/usr/lib/softhsm/libsofthsm2.so&", "", "2: hsm: module-path must be the absolute path"},
        Wrong{"module-path=/usr", "module-path=usr", "2: hsm: module-path must be the absolute path"},
        Wrong{"libsofthsm2.so", "lib%0aactivate=1.so", "2: hsm: module-path must be the absolute path"},
        Wrong{"token=prod", "token=prod;object=x", "2: hsm: the URI names an object"},
        Wrong{"token=prod", "", "2: hsm: the URI names no token"},
        Wrong{"token=prod", "tokn=prod", R"(2: hsm: the attribute "tokn" is not known; did you mean )"},
        Wrong{"token=prod?", "token=prod;module-path=/a?",
              R"(2: hsm: the attribute "module-path" belongs behind a question mark: pkcs11:token=...?module-path=)"},
        Wrong{"pin-source", "pin-sorce", "2: hsm: pin-source must name the file that holds the PIN"},
        Wrong{"token=prod", "Tok=prod", "2: hsm: the URI has an attribute that is not known"},
        Wrong{"unix:/run/assertiond/assertiond.sock", "/run/assertiond/assertiond.sock",
              R"(3: listen: must begin with unix:; did you mean "unix:/run/assertiond/assertiond.sock"?)"},
        Wrong{"pkcs11:token=prod?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin", "/a/b.so",
              R"(2: hsm: must be a PKCS#11 URI, not a module's path; for example )"
              R"("pkcs11:token=LABEL?module-path=/PATH&pin-source=file:/etc/assertiond/pin")"},
        Wrong{R"("client_id")", R"("tokens": {}, "client_id")",
              "6: clients[0].tokens.token_endpoint: is missing: give token_endpoint or issuer"},
        Wrong{"pkcs11:token", "pkcs12:token", "2: hsm: not a PKCS#11 URI"}));

TEST(Config, AnErrorNeverRepeatsAPin) {
  const auto path =
      ParseConfig(With("pkcs11:token=prod?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin",
                       "/usr/lib/softhsm/libsofthsm2.so;pin-value=98765"),
                  "/state");
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().front().find("98765"), std::string::npos) << path.error().front();
  for (const auto* wrong : {"pin-value=98765", "pin-value=98765&bogus%", "pin-value=98765\n"}) {
    const auto config = ParseConfig(With("pin-source=file:/run/pin", wrong), "/state");
    ASSERT_FALSE(config);
    for (const auto& error : config.error()) {
      EXPECT_EQ(error.find("98765"), std::string::npos) << error;
    }
  }
}

TEST(Config, SyntaxErrorsNameTheLine) {
  const auto config = ParseConfig(With("\"clients\": [", "\"clients\": [,"), "/state");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().front().substr(0, 3), "4: ");
}

TEST(Config, WhatJsonHasNotIsSaidInPlainWordsWithItsLine) {
  const auto error = [](std::string_view text) { return ParseConfig(text, "/state").error().front(); };
  EXPECT_EQ(error("{\n  // the HSM\n  \"hsm\": 1}"), "2: JSON has no comments: remove it");
  EXPECT_EQ(error("{\"hsm\": 1,\n\n/* a\n b */\n\"listen\": 2}"), "3: JSON has no comments: remove it");
  EXPECT_EQ(error("# a\n{}"), "1: JSON has no comments: remove it");
  EXPECT_EQ(error("{\n\"hsm\": [1,\n\n]}"), "2: nothing follows this comma: remove it");
  EXPECT_EQ(error("{\n\"hsm\": 1, \n }"), "2: nothing follows this comma: remove it");
  EXPECT_EQ(error("{\n'hsm': 1}"), "2: JSON has text between double quotes, not single ones");
  EXPECT_EQ(error("{\n\"a\": \"x\\\"y\"\n\n\"b\\\\\": 1}"), "2: a comma is missing after this");
  EXPECT_EQ(error("{\"a\": [\n{}\n\n{}]}"), "2: a comma is missing after this");
  EXPECT_EQ(error("{\"a\": 1\n\"b\": [\"c\"]}"), "1: a comma is missing after this");
  for (const auto* other :
       {"", "{\"a\": 1/2}", "]", "{\"a\" 1}", "{\"a\" \"b\"}", "\"", "{\"", "{}\"a\"", "{\"a\": \"//", "[1 2]"}) {
    EXPECT_EQ(error(other).find("remove it"), std::string::npos) << other;
    EXPECT_EQ(error(other).find("comma"), std::string::npos) << other << error(other);
  }
}

// The parser takes a NUL for the end: a person would read what follows, and assertiond would not.
TEST(Config, ANulIsRefusedWithItsLine) {
  const std::string nul(1, '\0');
  for (const auto& after : {nul, nul + "\n{}", nul + "garbage"}) {
    const auto config = ParseConfig("{\n}" + after, "/state");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error(),
              std::vector<std::string>{"2: an octet NUL, which JSON does not have: save the file as UTF-8"});
  }
  EXPECT_EQ(ParseConfig("{" + nul + "\n" + nul + "}", "/state").error().front().substr(0, 15), "1: an octet NUL");
}

TEST(Config, CommentsTrailingTextAndDeepNestingAreRefused) {
  EXPECT_FALSE(ParseConfig(std::string(kValid) + "{}", "/state"));
  EXPECT_FALSE(ParseConfig("// c\n" + std::string(kValid), "/state"));
  const auto deep = ParseConfig(std::string(33, '[') + std::string(33, ']'), "/state");
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().front(), "1: nested too deeply");
  EXPECT_FALSE(ParseConfig(std::string(100000, '['), "/state"));
  EXPECT_FALSE(ParseConfig("", "/state"));
  EXPECT_FALSE(ParseConfig("\"hsm\xff\"", "/state"));
}

TEST(Config, AWordThatIsNotKnownIsToldTheNearest) {
  const auto of = [](const std::string& from, const std::string& to) {
    const auto config = ParseConfig(With(from, to), "/state");
    return config ? "accepted" : config.error().front();
  };
  EXPECT_EQ(of(R"("clients")", R"("operators": [{"caller": "uid:0", "roles": ["operater"]}], "clients")"),
            "4: operators[0].roles: must be some of: viewer, operator, approver; did you mean \"operator\"?");
  EXPECT_EQ(of(R"("listen")", R"("sesions": 4, "listen")"),
            "3: sesions: is not a known field; did you mean \"sessions\"?");
  EXPECT_TRUE(of(R"(["uid:1000"])", R"(["usr:app"])").ends_with("; did you mean \"user:app\"?"));
}

TEST(Config, WarnsOfAnAudienceThatIsNoUrl) {
  for (const char* audience :
       {"is.example.com/oauth2/token", "http://is.example.com/token", "HTTPS://is.example.com"}) {
    const auto config = ParseConfig(With("https://is.example.com/oauth2/token", audience), "/state");
    ASSERT_TRUE(config) << audience;
    EXPECT_EQ(config->warnings.size(), 1U) << audience;
  }
  EXPECT_TRUE(ParseConfig(With("https://is.example.com/oauth2/token", "urn:example:is"), "/state")->warnings.empty());
}

// Text of the file can neither flood a log nor forge a line of it.
TEST(Config, ErrorsAreFewShortAndOneLineEach) {
  std::string fields;
  for (int i = 0; i < 1000; ++i) {
    fields += "\"x\\n" + std::to_string(i) + std::string(1000, 'y') + "\": 0,";
  }
  const auto config = ParseConfig("{" + fields + R"("z": 1})", "/state");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().size(), 101U);
  EXPECT_EQ(config.error().back(), "0: and 904 more");
  for (const auto& error : config.error()) {
    EXPECT_LT(error.size(), 1000U);
    EXPECT_EQ(error.find('\n'), std::string::npos);
  }
  const auto broken = ParseConfig("{\"" + std::string(100'000, 'y') + "\n\": 1}", "/state");
  ASSERT_FALSE(broken);
  EXPECT_LT(broken.error().front().size(), 1000U);
}

TEST(Config, HasAtMostSoManyOfEach) {
  const auto repeated = [](const std::string& item, int times) {
    std::string list;
    for (int i = 0; i < times; ++i) {
      list += (i == 0 ? "\"" : ", \"") + item + std::to_string(i) + "\"";
    }
    return "[" + list + "]";
  };
  EXPECT_TRUE(ParseConfig(With(R"(["uid:1000"])", repeated("uid:1", 1000)), "/state"));
  EXPECT_EQ(ParseConfig(With(R"(["uid:1000"])", repeated("uid:1", 1001)), "/state").error().front(),
            "7: clients[0].callers: must not have more than 1000 entries");
  EXPECT_EQ(ParseConfig(With(R"(["https://is.example.com/oauth2/token"])", repeated("https://a/", 101)), "/state")
                .error()
                .front(),
            "7: clients[0].audiences: must not have more than 100 entries");
  std::string values(1'000'001, '0');
  for (std::size_t i = 1; i < values.size(); i += 2) {
    values[i] = ',';
  }
  EXPECT_EQ(ParseConfig("[" + values + "]", "/state").error().front(), "1: more than 500000 values");
}

// Many of one object's members, of one list's strings, and of lines: what grew with the square took minutes here, and
// the test's own limit ends it.
TEST(Config, IsReadInLinearTime) {
  std::string members;
  std::string strings;
  for (int i = 0; i < CONFIG_MEMBERS; ++i) {
    members += "\"" + std::to_string(i) + "\":0,\n";
    strings += "\"" + std::to_string(i) + "\",\n";
  }
  EXPECT_FALSE(ParseConfig("{" + members + "\"x\":0}", "/state"));
  EXPECT_FALSE(ParseConfig(With(R"(["uid:1000"])", "[" + strings + "\"x\"]"), "/state"));
}

TEST(Config, TheSameClientTwiceIsRefused) {
  const auto config = ParseConfig(
      With("\"clients\": [", R"("clients": [ {"client_id": "orders", "audiences": ["a"], "callers": []},)"), "/state");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().front(), "5: clients[1].client_id: is the id of an earlier client");
}

TEST(Duration, TakesDigitsAndOneUnit) {
  EXPECT_EQ(ParseDuration("90s"), seconds(90));
  EXPECT_EQ(ParseDuration("5m"), seconds(300));
  EXPECT_EQ(ParseDuration("1h"), seconds(3600));
  for (const auto* wrong : {"", "s", "5", "5 s", "-5s", "+5s", "5ms", "5.5s", "5S", "99999999999s", " 5s"}) {
    EXPECT_FALSE(ParseDuration(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace assertion
