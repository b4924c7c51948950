#include "keys/key_change_text.h"

#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "assertion/two_person_rule.h"
#include "keys/change_summary.h"

namespace assertion {
namespace {

using std::chrono::days;
using std::chrono::seconds;

ChangeRequest Request() {
  return {.client_id = "orders", .expected_version = 7, .request_id = "request-7", .digest = "d", .forced = true};
}

KeyWishes Wishes() {
  return {.algorithm = "PS256", .bits = 3072, .common_name = "O", .certificate_validity = days(40), .hsm = "east"};
}

// One of each kind, with every member set, and its text: stored changes have this form, so it must not change.
struct Example {
  KeyChange change;
  const char* text;
};

std::array<Example, 8> Examples() {
  return {{{KeyGeneration{.change = Request(), .key = Wishes()},
            R"({"algorithm":"PS256","certificate_validity":3456000,"client_id":"orders","common_name":"O",)"
            R"("expected_version":7,"forced":true,"hsm":"east","key_bits":3072,"method":"GenerateKey",)"
            R"("request_digest":"d","request_id":"request-7"})"},
           {KeyRotation{.change = Request(), .key = Wishes(), .sign_from = Time(seconds(5))},
            R"({"algorithm":"PS256","certificate_validity":3456000,"client_id":"orders","common_name":"O",)"
            R"("expected_version":7,"forced":true,"hsm":"east","key_bits":3072,"method":"RotateKey",)"
            R"("request_digest":"d","request_id":"request-7","sign_from":5})"},
           {CertificateImport{.change = Request(), .kid = "k", .certificates = std::string("\x30\x00\xff", 3)},
            R"({"certificates":"MAD_","client_id":"orders","expected_version":7,"forced":true,"kid":"k",)"
            R"("method":"ImportCertificate","request_digest":"d","request_id":"request-7"})"},
           {KeyRescheduling{.change = Request(),
                            .kid = "k",
                            .instants = {.publish_from = Time(seconds(1)),
                                         .sign_from = Time(seconds(2)),
                                         .sign_until = Time(seconds(3)),
                                         .publish_until = kNever}},
            R"({"client_id":"orders","expected_version":7,"forced":true,"kid":"k","method":"ScheduleKey",)"
            R"("publish_from":1,"publish_until":253402300799,"request_digest":"d","request_id":"request-7",)"
            R"("sign_from":2,"sign_until":3})"},
           {KeyRevocation{.change = Request(), .kid = "k"},
            R"({"client_id":"orders","expected_version":7,"forced":true,"kid":"k","method":"RevokeKey",)"
            R"("request_digest":"d","request_id":"request-7"})"},
           {KeyDestruction{.change = Request(), .kid = "k"},
            R"({"client_id":"orders","expected_version":7,"forced":true,"kid":"k","method":"DestroyKey",)"
            R"("request_digest":"d","request_id":"request-7"})"},
           {LedgerAcceptance{.change = Request(), .hsm = "east"},
            R"({"client_id":"orders","expected_version":7,"forced":true,"hsm":"east","method":"AcceptLedger",)"
            R"("request_digest":"d","request_id":"request-7"})"},
           {KeyAdoption{.change = Request(),
                        .kid = "k",
                        .cka_id = {0x0A, 0xFF},
                        .key = Wishes(),
                        .certificates = std::string("\x30\x00\xff", 3)},
            R"({"algorithm":"PS256","certificate_validity":3456000,"certificates":"MAD_","cka_id":"Cv8",)"
            R"("client_id":"orders","common_name":"O","expected_version":7,"forced":true,"hsm":"east",)"
            R"("key_bits":3072,"kid":"k","method":"AdoptKey","request_digest":"d","request_id":"request-7"})"}}};
}

TEST(KeyChangeTextTest, EveryChangeKeepsItsTextAndIsReadFromIt) {
  for (const auto& [change, text] : Examples()) {
    EXPECT_EQ(TextOf(change), text);
    const auto parsed = ParseKeyChange(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->index(), change.index());
    EXPECT_EQ(TextOf(*parsed), text);
    EXPECT_EQ(SummaryOf(*parsed), SummaryOf(change));
  }
}

TEST(KeyChangeTextTest, UnsetMembersStayUnset) {
  const auto rotation = ParseKeyChange(TextOf(KeyRotation{.change = Request(), .key = {}, .sign_from = {}}));
  ASSERT_TRUE(rotation);
  EXPECT_FALSE(std::get<KeyRotation>(*rotation).sign_from);
  EXPECT_FALSE(std::get<KeyRotation>(*rotation).key.certificate_validity);
  const auto rescheduling = ParseKeyChange(TextOf(KeyRescheduling{.change = Request(), .kid = "k", .instants = {}}));
  ASSERT_TRUE(rescheduling);
  EXPECT_FALSE(std::get<KeyRescheduling>(*rescheduling).instants.sign_until);
}

TEST(KeyChangeTextTest, AMemberThatIsMissingUnknownOrOfAnotherTypeMakesItNoChange) {
  for (const auto& [change, text] : Examples()) {
    const auto whole = nlohmann::json::parse(text);
    auto more = whole;
    more["more"] = 1;
    EXPECT_FALSE(ParseKeyChange(more.dump()));
    for (const auto& [name, value] : whole.items()) {
      auto other = whole;
      other[name] = nlohmann::json::array();
      EXPECT_FALSE(ParseKeyChange(other.dump())) << name;
      other[name] = value.is_boolean() ? nlohmann::json(1) : nlohmann::json(1.5);
      EXPECT_FALSE(ParseKeyChange(other.dump())) << name;
    }
    for (const char* name : {"method", "client_id", "expected_version", "request_id", "request_digest", "forced"}) {
      auto less = whole;
      less.erase(name);
      EXPECT_FALSE(ParseKeyChange(less.dump())) << name;
    }
  }
  for (const char* text : {"", "[]", "{}", "null", R"({"method":"Reboot"})"}) {
    EXPECT_FALSE(ParseKeyChange(text)) << text;
  }
}

TEST(KeyChangeTextTest, ChangesHaveTheNamesThatTheTwoPersonRuleCovers) {
  const auto examples = Examples();
  for (std::size_t i = 0; i < examples.size(); ++i) {
    EXPECT_EQ(examples[i].change.index(), i);
    EXPECT_EQ(MethodOf(examples[i].change), kTwoPersonMethods[i]);
    EXPECT_EQ(RequestOf(examples[i].change).client_id, "orders");
  }
}

}  // namespace
}  // namespace assertion
