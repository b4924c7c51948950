// A token that answers nonsense about one key: that key is refused by name, and everything else goes on.

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "assertion/algorithm.h"
#include "faulty_hsm/faulty_hsm.h"

namespace assertion::p11 {
namespace {

struct Nonsense {
  std::string name;
  std::string line;  // of tests/faulty_hsm/traits.h, about the key 01
  const char* algorithm = "ES256";
  bool on_load = true;  // false: the private half's word counts, and a public half may be anyone's

  friend std::ostream& operator<<(std::ostream& out, const Nonsense& nonsense) { return out << nonsense.line; }
};

class NonsenseTest : public testing::TestWithParam<Nonsense> {
 protected:
  Result<TokenKey> Generate(const Bytes& id, const Algorithm& algorithm) {
    return hsm_.token().GenerateKeyPair(
        {.label = "orders", .id = id, .algorithm = &algorithm, .bits = algorithm.default_key_bits()});
  }

  // False: no key with this CKA_ID is on the token, or it may not sign.
  static bool MaySign(const TokenContents& contents, const Bytes& id) {
    const auto key = std::ranges::find(contents.keys, id, &TokenKey::id);
    return key != contents.keys.end() && !key->flaw && std::ranges::all_of(key->attributes, &KeyAttribute::ok);
  }

  const Algorithm& algorithm_ = *FindAlgorithm(GetParam().algorithm);
  FaultyHsm hsm_;
};

TEST_P(NonsenseTest, AKeyOnTheTokenIsRefusedAndItsNeighbourSigns) {
  ASSERT_TRUE(Generate({1}, algorithm_));
  ASSERT_TRUE(Generate({2}, algorithm_));
  hsm_.Tell(GetParam().line);
  const auto contents = hsm_.token().Read({"orders"});
  ASSERT_TRUE(contents) << contents.error().ToString();
  EXPECT_EQ(contents->keys.size(), 2U);
  EXPECT_EQ(MaySign(*contents, {1}), !GetParam().on_load);
  EXPECT_TRUE(MaySign(*contents, {2}));
  const auto session = hsm_.token().OpenSigningSession();
  ASSERT_TRUE(session) << session.error().ToString();
  EXPECT_TRUE((*session)->Sign({2}, algorithm_, "input"));
  EXPECT_TRUE(hsm_.token().Check());
}

TEST_P(NonsenseTest, ANewKeyIsRefusedAndDestroyed) {
  ASSERT_TRUE(Generate({2}, algorithm_));
  hsm_.Tell(GetParam().line);
  const auto made = Generate({1}, algorithm_);
  ASSERT_FALSE(made);
  EXPECT_TRUE(made.error().code == Code::kKeyUnproven || made.error().code == Code::kKeyForbidden)
      << made.error().ToString();
  const auto text = made.error().ToString();
  EXPECT_TRUE(text.contains("CKA_") || text.contains("neither an RSA key nor one on a curve")) << text;
  hsm_.Tell("");
  const auto contents = hsm_.token().Read({"orders"});
  ASSERT_TRUE(contents) << contents.error().ToString();
  EXPECT_EQ(contents->keys.size(), 1U);
  EXPECT_EQ(contents->public_keys.size(), 1U);
}

std::vector<Nonsense> AllNonsense() {
  const auto huge = std::to_string(1ULL << 40U);
  return {
      {.name = "KeyTypeOfLengthMinusOne", .line = "measures private:01 CKA_KEY_TYPE -1"},
      {.name = "KeyTypeOfATerabyte", .line = "measures private:01 CKA_KEY_TYPE " + huge},
      {.name = "KeyTypeOfOneOctet", .line = "answers private:01 CKA_KEY_TYPE 00"},
      {.name = "KeyTypeThatGrows", .line = "grows private:01 CKA_KEY_TYPE " + huge},
      {.name = "KeyTypeThatGrowsToMinusOne", .line = "grows private:01 CKA_KEY_TYPE -1"},
      {.name = "KeyTypeThatDoesNotExist", .line = "answers private:01 CKA_KEY_TYPE ffffffffffffff7f"},
      {.name = "FlagOfTwoOctets", .line = "answers private:01 CKA_SENSITIVE 0101"},
      {.name = "FlagOfATerabyte", .line = "measures private:01 CKA_SENSITIVE " + huge},
      {.name = "FlagThatGrows", .line = "grows private:01 CKA_SENSITIVE 9"},
      {.name = "EmptyModulus", .line = "answers private:01 CKA_MODULUS 0000", .algorithm = "RS256"},
      {.name = "ModulusOfATerabyte", .line = "measures private:01 CKA_MODULUS " + huge, .algorithm = "RS256"},
      {.name = "ModulusOfLengthMinusOne", .line = "measures private:01 CKA_MODULUS -1", .algorithm = "RS256"},
      {.name = "ModulusThatDiffersBetweenHalves",
       .line = "answers public:01 CKA_MODULUS c0ffee",
       .algorithm = "RS256",
       .on_load = false},
      {.name = "PointInNeitherForm", .line = "answers public:01 CKA_EC_POINT 0403040506"},
      {.name = "PointOfATerabyte", .line = "measures public:01 CKA_EC_POINT " + huge},
      {.name = "CurveThatDoesNotExist", .line = "answers private:01 CKA_EC_PARAMS 0603551d0f"},
      {.name = "CurveOfATerabyte", .line = "measures private:01 CKA_EC_PARAMS " + huge},
  };
}

INSTANTIATE_TEST_SUITE_P(, NonsenseTest, testing::ValuesIn(AllNonsense()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace assertion::p11
