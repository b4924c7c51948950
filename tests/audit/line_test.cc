#include "audit/line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace assertion::audit {
namespace {

TEST(Line, TextOfCallersIsCutAndCannotSteerATerminal) {
  Event event;
  event.name = "CreateAssertion";
  event.client_id = "\x1B[2J\n\xE2\x80\xAE" + std::string(5000, 'x');
  event.audience = "\xFF" + std::string(5000, 'y');
  auto head = Genesis();
  const auto line = Chain(head, Body(event, {}));
  EXPECT_TRUE(std::ranges::all_of(line, [](char c) { return c >= 0x20 && c <= 0x7E; })) << line;
  const auto parsed = ParseLine(line);
  ASSERT_TRUE(parsed);
  EXPECT_LE(parsed->members["client_id"].get<std::string>().size(), 256U);
  EXPECT_LE(parsed->members["audience"].get<std::string>().size(), 1100U);
  EXPECT_EQ(parsed->members["time"], "1970-01-01T00:00:00.000000Z");
}

TEST(Line, AnIdentityServersErrorIsWrittenAndCut) {
  Event event;
  event.name = "BuyAccessToken";
  event.error = std::string(100, 'e');
  auto head = Genesis();
  const auto parsed = ParseLine(Chain(head, Body(event, {})));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->members["error"], std::string(64, 'e'));
}

TEST(Line, WhatPolicyAcceptsIsWrittenWhole) {
  Event event;
  event.name = "GetAccessToken";
  event.scope = std::string(4088, 's') + " payments";
  event.scope.resize(4096);
  event.resource = "https://api.example/" + std::string(2000, 'r');
  event.htu = "https://api.example/" + std::string(2000, 'a') + "/transfer";
  auto head = Genesis();
  const auto parsed = ParseLine(Chain(head, Body(event, {})));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->members["scope"], event.scope);
  EXPECT_EQ(parsed->members["resource"], event.resource);
  EXPECT_EQ(parsed->members["htu"], event.htu);
  EXPECT_FALSE(parsed->members.contains("cut"));
}

TEST(Line, NamesTheMembersWhoseTextIsCut) {
  Event event;
  event.name = "GetAccessToken";
  event.client_id = std::string(256, 'x');
  event.scope = std::string(5000, '\x01');
  event.reason = std::string(257, 'r');
  auto head = Genesis();
  const auto line = Chain(head, Body(event, {}));
  const auto parsed = ParseLine(line);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->members["cut"], "scope reason");
  EXPECT_LE(line.size(), 5200U) << "the text is cut as it is written";
}

TEST(Line, AServiceAccountTokenIsWrittenWhole) {
  Event event;
  event.name = "Sign";
  event.purpose = "kubernetes";
  event.subject = "system:serviceaccount:" + std::string(63, 'n') + ':' + std::string(253, 'a');
  event.expires_at = Time(std::chrono::seconds(1'700'003'600));
  auto head = Genesis();
  const auto parsed = ParseLine(Chain(head, Body(event, {})));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->members["subject"], event.subject);
  EXPECT_EQ(parsed->members["exp"], 1'700'003'600);
}

TEST(Line, TextOfStrangersIsCutAsItIsWritten) {
  Event event;
  event.name = "CreateAssertion";
  event.client_id = std::string(5000, 'x');
  event.audience = std::string(5000, '\x01');
  event.entitled = false;
  const auto body = Body(event, {});
  EXPECT_NE(body.find("\"" + std::string(64, 'x') + "\""), std::string::npos) << body;
  EXPECT_EQ(std::count(body.begin(), body.end(), '\\'), 10) << body;  // six octets each
}

}  // namespace
}  // namespace assertion::audit
