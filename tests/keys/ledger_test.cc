#include "keys/ledger.h"

#include <gtest/gtest.h>

#include "jws/compact.h"
#include "keys/seal.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kLedger =
    R"({"client_id":"orders","version":7,"previous":"p","keys":[{"kid":"k1","alg":"RS256","cka_id":"0aff","x5t#S256":["t1","t2"],)"
    R"("publish_from":1,"sign_from":2,"sign_until":3,"publish_until":253402300799}],)"
    R"("requests":[{"id":"r","digest":"d","kid":"k1"}]})";

std::string With(const std::string& from, const std::string& to) {
  std::string text = kLedger;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Ledger, IsReadAsItWasWritten) {
  const auto ledger = ParseLedger(kLedger);
  ASSERT_TRUE(ledger) << ledger.error().message;
  EXPECT_EQ(ledger->client_id, "orders");
  EXPECT_EQ(ledger->version, 7);
  EXPECT_EQ(ledger->previous, "p");
  ASSERT_EQ(ledger->keys.size(), 1U);
  const auto& key = ledger->keys.front();
  EXPECT_EQ(key.id, (Bytes{0x0A, 0xFF}));
  EXPECT_EQ(key.certificates, (std::vector<std::string>{"t1", "t2"}));
  EXPECT_EQ(key.sign_until, Time(seconds(3)));
  EXPECT_EQ(key.publish_until, kNever);
  EXPECT_EQ(ToJson(*ledger), kLedger);
  EXPECT_EQ(ParseLedger(ToJson(*ledger)), *ledger);
}

TEST(Ledger, SaysWhichKeysWereAdoptedOrImported) {
  for (const auto& [name, origin] :
       {std::pair{std::string("adopted"), KeyOrigin::kAdopted}, {"imported", KeyOrigin::kImported}}) {
    const auto text =
        With(R"("publish_until":253402300799)", R"("publish_until":253402300799,"origin":")" + name + R"(")");
    const auto ledger = ParseLedger(text);
    ASSERT_TRUE(ledger) << ledger.error().message;
    EXPECT_EQ(ledger->keys.front().origin, origin);
    EXPECT_EQ(ToJson(*ledger), text);
    EXPECT_NE(HashOf(*ledger), HashOf(*ParseLedger(kLedger)));
  }
  EXPECT_EQ(ParseLedger(kLedger)->keys.front().origin, KeyOrigin::kGenerated);
}

TEST(Ledger, SaysWhatWasNotAskedForAtAKeysBirth) {
  for (const auto& [written, names] : {std::pair{std::string(), AttributeNames()},
                                       {"COPYABLE", {"CKA_COPYABLE"}},
                                       {"COPYABLE MODIFIABLE", {"CKA_COPYABLE", "CKA_MODIFIABLE"}}}) {
    const auto text =
        With(R"("publish_until":253402300799)", R"("publish_until":253402300799,"not_asked":")" + written + R"(")");
    const auto ledger = ParseLedger(text);
    ASSERT_TRUE(ledger) << ledger.error().message;
    EXPECT_EQ(ledger->keys.front().not_asked, names);
    EXPECT_EQ(ToJson(*ledger), text);
  }
  EXPECT_FALSE(ParseLedger(kLedger)->keys.front().not_asked.has_value());
}

struct Broken {
  const char* from;
  const char* to;
  const char* why;
};

class BrokenLedger : public testing::TestWithParam<Broken> {};

TEST_P(BrokenLedger, IsUnusable) {
  const auto& [from, to, why] = GetParam();
  const auto ledger = ParseLedger(With(from, to));
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, Code::kLedgerUnusable);
  EXPECT_NE(ledger.error().message.find(why), std::string::npos) << ledger.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Ledger, BrokenLedger,
    testing::Values(
        Broken{"}]}", "}]", "not JSON"}, Broken{"\"orders\"", "\"or\xFF\"", "not JSON"},
        Broken{R"("version":7)", R"("version":7,"version":7)", "twice"},
        Broken{R"("kid":"k1","alg")", R"("kid":"k1","kid":"k1","alg")", "twice"},
        Broken{R"("version":7)", R"("version":7,"x":1)", "unknown member"}, Broken{R"("version":7,)", "", "version"},
        Broken{R"("previous":"p",)", "", "previous"}, Broken{R"("previous":"p")", R"("previous":1)", "previous"},
        Broken{R"("version":7)", R"("version":-7)", "version"}, Broken{R"("version":7)", R"("version":7.5)", "version"},
        Broken{R"("version":7)", R"("version":"7")", "version"},
        Broken{R"("version":7)", R"("version":99999999999999999)", "version"}, Broken{R"("orders")", "1", "client_id"},
        Broken{R"("RS256")", R"("none")", "alg"}, Broken{R"("0aff")", R"("0AFF")", "cka_id"},
        Broken{R"("0aff")", R"("0af")", "cka_id"}, Broken{R"("0aff")", R"("")", "cka_id"},
        Broken{R"(["t1","t2"])", "[1]", "x5t#S256"}, Broken{"253402300799", "253402300800", "publish_until"},
        Broken{R"("alg":"RS256")", R"("alg":"RS256","origin":"")", "origin"},
        Broken{R"("alg":"RS256")", R"("alg":"RS256","origin":"generated")", "origin"},
        Broken{R"("alg":"RS256")", R"("alg":"RS256","origin":true)", "origin"},
        Broken{R"("alg":"RS256")", R"("alg":"RS256","not_asked":" COPYABLE")", "not_asked"},
        Broken{R"("alg":"RS256")", R"("alg":"RS256","not_asked":["COPYABLE"])", "not_asked"},
        Broken{R"("sign_from":2)", R"("sign_from":4)", ""},
        Broken{R"({"kid":"k1","alg")", R"(7,{"kid":"k1","alg")", "a key's an object"},
        Broken{R"([{"id":"r")", R"([[],{"id":"r")", "a request's an object"},
        Broken{R"("digest":"d",)", "", "a request's digest"}));

TEST(Ledger, NoKeyStandsThereTwiceAndNoTwoSignAtOnce) {
  auto ledger = *ParseLedger(kLedger);
  auto other = ledger.keys.front();
  other.kid = "k2";
  ledger.keys.push_back(other);
  EXPECT_FALSE(ParseLedger(ToJson(ledger)));  // one CKA_ID
  ledger.keys.back().id = {1};
  EXPECT_FALSE(ParseLedger(ToJson(ledger)));  // both sign at second 2
  ledger.keys.back().sign_from = Time(seconds(3));
  ledger.keys.back().sign_until = Time(seconds(9));
  EXPECT_TRUE(ParseLedger(ToJson(ledger)));
  ledger.keys.back().kid = "k1";
  EXPECT_FALSE(ParseLedger(ToJson(ledger)));
}

TEST(Ledger, HasNoNul) {
  ASSERT_TRUE(ParseLedger(kLedger));
  EXPECT_FALSE(ParseLedger(std::string(kLedger) + '\0'));
  EXPECT_FALSE(ParseLedger(std::string(kLedger) + '\0' + std::string(kLedger)));
}

TEST(Ledger, AnUnsignedOneNamesNoVersionBefore) {
  EXPECT_FALSE(ParseUnsignedLedger(kLedger));
  const auto ledger = ParseUnsignedLedger(With(R"("previous":"p",)", ""));
  ASSERT_TRUE(ledger) << ledger.error().message;
  EXPECT_EQ(ledger->version, 7);
}

TEST(Ledger, ItsHashIsOfAllThatItSays) {
  const auto ledger = *ParseLedger(kLedger);
  for (const auto& [from, to] : {std::pair{"orders", "order"}, std::pair{"\"version\":7", "\"version\":8"},
                                 std::pair{"\"p\"", "\"q\""}, std::pair{"\"t1\"", "\"t3\""}}) {
    EXPECT_NE(HashOf(*ParseLedger(With(from, to))), HashOf(ledger)) << from;
  }
  EXPECT_EQ(HashOf(ledger).size(), 43U);
}

TEST(Ledger, OfEightKeysFitsATokenThatStoresFourThousandOctets) {
  auto ledger = *ParseLedger(kLedger);
  ledger.version = 1'000'000;
  ledger.previous = std::string(43, 'p');
  ledger.keys.clear();
  ledger.requests.clear();
  for (std::uint8_t i = 0; i < 8; ++i) {
    const Time from(seconds(1'800'000'000 + i));
    ledger.keys.push_back({.kid = std::string(43, static_cast<char>('a' + i)),
                           .algorithm = kAlgorithms.data(),
                           .id = Bytes(16, i),
                           .certificates = {std::string(43, 'c')},
                           .publish_from = from,
                           .sign_from = from,
                           .sign_until = from + seconds(1),
                           .publish_until = from + seconds(1),
                           .not_asked = AttributeNames{"CKA_COPYABLE"}});
  }
  const auto header = jws::EncodedHeader(kAlgorithms.front(), std::string(43, 'k'), Seal::kLedger);
  const auto sealed = jws::Compact(jws::SigningInput(header, ToJson(ledger)), Bytes(256));
  EXPECT_LE(sealed.size(), 4000U);
}

}  // namespace
}  // namespace assertion
