#include "observe/accept.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion {
namespace {

constexpr const char* kJwkSet = "application/jwk-set+json";

TEST(Accept, NamesAMediaTypeWithAWeightAboveZero) {
  for (const auto* accept : {
           "application/jwk-set+json",
           "APPLICATION/Jwk-Set+JSON",
           "application/json, application/jwk-set+json",
           " \tapplication/jwk-set+json\t;\tq=0.5 , */*;q=0.1",
           "application/jwk-set+json;q=1.000",
           "application/jwk-set+json;Q=0.001",
           "application/jwk-set+json; charset=\"a,b;q=0\"; q=1",
           "text/plain;a=\"\\\"\", application/jwk-set+json",
           ",,;,application/jwk-set+json,",
           "application/jwk-set+json;",
           "application/jwk-set+json;q=x, application/jwk-set+json",
       }) {
    EXPECT_TRUE(NamesMediaType(accept, kJwkSet)) << accept;
  }
}

TEST(Accept, NothingElseNamesIt) {
  for (const auto* accept : {
           "",
           "*/*",
           "application/*",
           "application/json",
           "application/jwk-set+jsonx",
           "application/jwk-set",
           "application/jwk-set+json x",
           "xapplication/jwk-set+json",
           "application/jwk-set+json;q=0",
           "application/jwk-set+json;q=0.000",
           "application/jwk-set+json, application/jwk-set+json;q=0",
           "application/jwk-set+json;q=0;q=1",
           "application/jwk-set+json;q=",
           "application/jwk-set+json;q=-1",
           "application/jwk-set+json;q=2",
           "application/jwk-set+json;q=1.001",
           "application/jwk-set+json;q=0.0001",
           "application/jwk-set+json;q=.5",
           "application/jwk-set+json;q=1e1",
           "text/plain;a=\"application/jwk-set+json\"",
           "text/plain;a=\", application/jwk-set+json",
           "text/plain;a=\"\\",
           "\"application/jwk-set+json\"",
       }) {
    EXPECT_FALSE(NamesMediaType(accept, kJwkSet)) << accept;
  }
}

TEST(Accept, TakesLongFieldsInOnePass) {
  std::string accept;
  for (int i = 0; i < 100'000; ++i) {
    accept += "\"\\,;q=";
  }
  EXPECT_FALSE(NamesMediaType(accept, kJwkSet));
}

}  // namespace
}  // namespace assertion
