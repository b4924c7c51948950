#include "p11/hsm_token.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <vector>

#include "p11/hasher.h"
#include "p11/pin.h"
#include "p11/refused_pins.h"
#include "softhsm.h"
#include "x509/verifier.h"

namespace assertion::p11 {
namespace {

NewKey Orders(const Bytes& id) { return {.label = "orders", .id = id, .algorithm = kAlgorithms.data(), .bits = 2048}; }

// What is of SoftHSM2 alone, or of us; tests/contract has what every token must do.
class HsmTokenTest : public testing::Test {
 protected:
  LoggedInSoftHsm hsm_;
};

TEST_F(HsmTokenTest, AKeyIsBornWithTheWholeTemplate) {
  const auto key = hsm_.token().GenerateKeyPair(Orders({1, 2, 3}));
  ASSERT_TRUE(key) << key.error().ToString();
  // The first seven are demanded of every key that signs, whoever made it.
  const std::vector<std::pair<std::string_view, bool>> expected = {
      {"CKA_SENSITIVE", true},     {"CKA_ALWAYS_SENSITIVE", true},
      {"CKA_EXTRACTABLE", false},  {"CKA_NEVER_EXTRACTABLE", true},
      {"CKA_LOCAL", true},         {"CKA_SIGN", true},
      {"CKA_PRIVATE", true},       {"CKA_DECRYPT", false},
      {"CKA_UNWRAP", false},       {"CKA_DERIVE", false},
      {"CKA_SIGN_RECOVER", false}, {"CKA_COPYABLE", false},
      {"CKA_MODIFIABLE", false}};
  ASSERT_EQ(key->attributes.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& [name, value] = expected[i];
    EXPECT_EQ(key->attributes[i].name, name);
    EXPECT_EQ(key->attributes[i].value, value) << name;
    EXPECT_EQ(key->attributes[i].required, i < 7 ? std::optional(value) : std::nullopt) << name;
  }
}

// The algorithm says what it is for, the token how it is done.
TEST_F(HsmTokenTest, SignsWithWhatTheTokenOffers) {
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("RS256")), "CKM_SHA256_RSA_PKCS");
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("PS384")), "CKM_SHA384_RSA_PKCS_PSS");
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("ES256")), "CKM_ECDSA") << "SoftHSM2 does not hash for ECDSA";
  EXPECT_EQ(hsm_.token().MechanismOf(*FindAlgorithm("EdDSA")), "CKM_EDDSA");
}

class DigestTest : public HsmTokenTest {
 protected:
  // A key for the algorithm.
  TokenKey Key(const Algorithm& algorithm) {
    auto key = hsm_.token().GenerateKeyPair(
        {.label = "orders", .id = {1}, .algorithm = &algorithm, .bits = algorithm.default_key_bits()});
    EXPECT_TRUE(key) << key.error().ToString();
    return *key;
  }

  Session session_ = *Session::Open(hsm_.module_pointer(), hsm_.token().info().slot, 0);
  Hasher hasher_;
};

// As on a token that does not hash: what is signed is what the mechanism that hashes would sign.
TEST_F(DigestTest, MadeHereSignsLikeTheMessage) {
  const auto rsa = Key(kAlgorithms[0]);
  for (const auto& algorithm : kAlgorithms) {
    if (algorithm.curve != nullptr) {
      continue;  // SoftHSM2 signs digests alone with these, or none
    }
    const auto mechanism = SigningMechanism::OfDigest(algorithm);
    for (const std::string message : {"message", "", "another, once more with the same hasher"}) {
      const auto digest = hasher_.Hash(*mechanism.digest, mechanism.digest_info, message);
      ASSERT_TRUE(digest) << digest.error().ToString();
      const auto signature = session_.Sign(mechanism, rsa.private_key.value, *digest);
      ASSERT_TRUE(signature) << algorithm.name << ": " << signature.error().ToString();
      EXPECT_TRUE(x509::Verifier::New(rsa.public_key, algorithm)->Verify(message, *signature)) << algorithm.name;
    }
  }
}

TEST_F(DigestTest, OfAnotherLengthIsNotSigned) {
  for (const auto* name : {"ES256", "ES384", "ES512", "RS256", "PS256"}) {
    const auto& algorithm = *FindAlgorithm(name);
    const auto key = Key(algorithm);
    const auto mechanism = SigningMechanism::OfDigest(algorithm);
    const auto length = mechanism.octets();
    EXPECT_TRUE(session_.Sign(mechanism, key.private_key.value, Bytes(length, 7))) << name;
    for (const auto wrong : {std::size_t{0}, std::size_t{20}, length - 1, length + 1, 2 * length}) {
      const auto refused = session_.Sign(mechanism, key.private_key.value, Bytes(wrong, 7));
      ASSERT_FALSE(refused) << name << " signed " << wrong << " octets";
      EXPECT_EQ(refused.error().code, Code::kInternal);
      EXPECT_NE(refused.error().message.find("was not asked"), std::string::npos);
    }
    ASSERT_TRUE(hsm_.token().DestroyKey(Bytes{1}));
  }
}

TEST_F(HsmTokenTest, AKeyOnACurveThatIsNotOfferedHasAFlaw) {
  auto session = *Session::Open(hsm_.module_pointer(), hsm_.token().info().slot, CKF_RW_SESSION);
  CK_BBOOL yes = CK_TRUE;
  std::string label = "orders";
  std::array<CK_BYTE, 7> secp256k1 = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A};
  std::array public_template = {CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},
                                CK_ATTRIBUTE{CKA_LABEL, label.data(), label.size()},
                                CK_ATTRIBUTE{CKA_EC_PARAMS, secp256k1.data(), secp256k1.size()}};
  std::array private_template = {CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes}, CK_ATTRIBUTE{CKA_SIGN, &yes, sizeof yes},
                                 CK_ATTRIBUTE{CKA_LABEL, label.data(), label.size()}};
  const auto pair = session.GenerateKeyPair({CKM_EC_KEY_PAIR_GEN, nullptr, 0}, public_template, private_template);
  ASSERT_TRUE(pair) << pair.error().ToString();
  const auto contents = hsm_.token().Read({"orders"});
  ASSERT_TRUE(contents) << contents.error().ToString();
  ASSERT_EQ(contents->keys.size(), 1U);
  ASSERT_TRUE(contents->keys[0].flaw);
  EXPECT_EQ(contents->keys[0].flaw->code, Code::kKeyForbidden);
  EXPECT_EQ(contents->keys[0].flaw->message, "it is on another curve than P-256, P-384, P-521 and Ed25519");
}

TEST_F(HsmTokenTest, TheUriNamesTokenAndKeyAndNoPin) {
  const auto reference = hsm_.token().PrivateKeyOf(Bytes{0xAB, 0x01});
  ASSERT_TRUE(reference);
  const auto& uri = reference->uri;
  EXPECT_NE(uri.find("token=test"), std::string::npos) << uri;
  EXPECT_NE(uri.find("id=%AB%01"), std::string::npos) << uri;
  EXPECT_NE(uri.find("type=private"), std::string::npos) << uri;
  EXPECT_EQ(uri.find("pin"), std::string::npos) << uri;
}

class LogInTest : public testing::Test {
 protected:
  LogInTest() { hsm_.AddToken("test"); }

  Result<std::unique_ptr<HsmToken>> LogIn(CK_FLAGS add_flags = 0) {
    module_.reset();  // as a restart would
    module_ = *Module::Load(SOFTHSM2_MODULE);
    auto info = *module_->FindToken(*TokenUri::Parse(hsm_.UriText()));
    info.flags |= add_flags;
    return HsmToken::LogIn(module_, info, hsm_.pin_file(), hsm_.directory());
  }

  SoftHsm hsm_;
  std::shared_ptr<Module> module_;
};

TEST_F(LogInTest, AWrongPinIsRememberedUntilItsFileHoldsAnother) {
  hsm_.Write("pin", "0000000000");
  const auto first = LogIn();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Code::kPinRefused);
  EXPECT_EQ(first.error().ToString().find("0000000000"), std::string::npos);
  for (const auto* again : {"0000000000", "0000000000\n"}) {
    std::filesystem::remove(hsm_.pin_file());  // as a mounted secret is written anew at every start
    hsm_.Write("pin", again);
    const auto second = LogIn();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::kPinRefused);
    EXPECT_NE(second.error().message.find("not tried again"), std::string::npos);
  }
  hsm_.Write("pin", SoftHsm::kPin);
  ASSERT_TRUE(LogIn());
  hsm_.Write("pin", "0000000000");  // and a login that went well in between forgives nothing
  EXPECT_NE(LogIn().error().message.find("not tried again"), std::string::npos);
}

TEST_F(LogInTest, TheRecordOfARefusalIsPrivateAndDoesNotHoldThePin) {
  hsm_.Write("pin", "0000000000");
  ASSERT_FALSE(LogIn());
  int records = 0;
  for (const auto& entry : std::filesystem::directory_iterator(hsm_.directory())) {
    if (entry.path().filename().string().starts_with("pin-refused-")) {
      ++records;
      EXPECT_EQ(entry.status().permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
      std::ifstream file(entry.path());
      const std::string text(std::istreambuf_iterator<char>(file), {});
      EXPECT_EQ(text.find("0000000000"), std::string::npos);
    }
  }
  EXPECT_EQ(records, 1);
}

TEST_F(LogInTest, ALoopThroughManyWrongPinsEnds) {
  for (int i = 0; i < 8; ++i) {
    hsm_.Write("pin", "000000000" + std::to_string(i));
    EXPECT_EQ(LogIn().error().message.find("before"), std::string::npos);
  }
  hsm_.Write("pin", SoftHsm::kPin);
  EXPECT_NE(LogIn().error().message.find("before"), std::string::npos);
}

TEST_F(LogInTest, WhoCannotRememberDoesNotTry) {
  module_ = *Module::Load(SOFTHSM2_MODULE);
  const auto info = *module_->FindToken(*TokenUri::Parse(hsm_.UriText()));
  const auto logged_in = HsmToken::LogIn(module_, info, hsm_.pin_file(), hsm_.directory() / "absent");
  ASSERT_FALSE(logged_in);
  EXPECT_EQ(logged_in.error().code, Code::kConfigInvalid);
  EXPECT_EQ(logged_in.error().message.substr(0, 16), "state_directory:");
}

TEST_F(LogInTest, TheLastTryBeforeTheLockIsNotUsed) {
  const auto last = LogIn(CKF_USER_PIN_FINAL_TRY);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, Code::kPinLocked);
  const auto locked = LogIn(CKF_USER_PIN_LOCKED);
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().code, Code::kPinLocked);
}

TEST_F(LogInTest, TwoTokensThatMatchAreAmbiguous) {
  hsm_.AddToken("test");
  module_ = *Module::Load(SOFTHSM2_MODULE);
  const auto found = module_->FindToken(*TokenUri::Parse(hsm_.UriText()));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kTokenAmbiguous);
}

TEST_F(LogInTest, EveryAttributeOfTheUriMustMatch) {
  module_ = *Module::Load(SOFTHSM2_MODULE);
  const auto find = [this](const std::string& attributes) {
    const auto places = hsm_.UriText().substr(hsm_.UriText().find('?'));
    return module_->FindToken(*TokenUri::Parse("pkcs11:" + attributes + places), false);
  };
  const auto token = *find("token=test");
  const auto slot = std::to_string(token.slot);
  EXPECT_TRUE(find("token=test;model=SoftHSM%20v2;serial=" + token.serial + ";slot-id=" + slot));
  for (const auto& wrong : {std::string("token=tes"), std::string("token="), std::string("token=test;model=other"),
                            std::string("token=test;manufacturer=other"), "token=test;serial=x" + token.serial,
                            "token=test;slot-id=" + slot + "1"}) {
    const auto found = find(wrong);
    ASSERT_FALSE(found) << wrong;
    EXPECT_EQ(found.error().code, Code::kTokenAbsent) << wrong;
  }
}

TEST_F(LogInTest, AnAbsentTokenIsSaidWithWhatIsThere) {
  module_ = *Module::Load(SOFTHSM2_MODULE);
  const auto found = module_->FindToken(*TokenUri::Parse(hsm_.UriText("prod")));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kTokenAbsent);
  EXPECT_NE(found.error().message.find("test (serial "), std::string::npos);
}

TEST(Module, ThatIsNotAModuleIsUnusable) {
  for (const auto* path : {"/nowhere/libnone.so", "/etc/passwd", "/usr/lib/x86_64-linux-gnu/libssl.so.3"}) {
    const auto module = Module::Load(path);
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, Code::kModuleUnusable);
  }
}

class PinTest : public testing::Test {
 protected:
  void ExpectError(const std::string& path, Code code) {
    const auto pin = Pin::ReadFile(path);
    ASSERT_FALSE(pin) << path;
    EXPECT_EQ(pin.error().code, code);
  }

  SoftHsm hsm_;
};

TEST_F(PinTest, ReadsOneLine) {
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("a", "1234")));
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("b", "1234\n")));
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("c", std::string(255, '1') + "\n")));
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("d", "1234\n", 0400)));
}

TEST_F(PinTest, ReadsADescriptorOnceAndClosesIt) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(write(ends[1], "1234\n", 5), 5);
  close(ends[1]);
  const auto path = "/dev/fd/" + std::to_string(ends[0]);
  EXPECT_TRUE(Pin::ReadFile(path));
  EXPECT_EQ(fcntl(ends[0], F_GETFD), -1);
  ExpectError(path, Code::kPinUnreadable);
  ExpectError("/dev/fd/0", Code::kPinUnreadable);
  ExpectError("/dev/fd/", Code::kPinUnreadable);
  ExpectError("/dev/fd/99999", Code::kPinUnreadable);
}

TEST_F(PinTest, ShieldsTheProcessThatReadsIt) {
  prctl(PR_SET_DUMPABLE, 1);
  ASSERT_TRUE(Pin::ReadFile(hsm_.pin_file()));
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
  rlimit core{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &core), 0);
  EXPECT_EQ(core.rlim_cur, 0U);
  EXPECT_EQ(core.rlim_max, 0U);
}

TEST_F(PinTest, RefusesWhatIsNotOneLine) {
  ExpectError(hsm_.Write("a", ""), Code::kPinUnreadable);
  ExpectError(hsm_.Write("b", "\n"), Code::kPinUnreadable);
  ExpectError(hsm_.Write("c", "1\n2\n"), Code::kPinUnreadable);
  ExpectError(hsm_.Write("d", std::string(257, '1')), Code::kPinUnreadable);
  ExpectError(hsm_.directory(), Code::kPinUnreadable);
  ExpectError(hsm_.directory() / "absent", Code::kPinUnreadable);
}

TEST_F(PinTest, RefusesAFileThatOthersCanOpen) {
  for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0644U, 0666U}) {
    ExpectError(hsm_.Write("pin" + std::to_string(mode), "1234", mode), Code::kPinExposed);
  }
}

// As systemd does for a service's user; the list's mask then stands where the group's bits were. An entry of the list
// is its tag, its permissions and a user's or group's number, after the version, all little endian (acl(5), Linux's
// xattr).
TEST_F(PinTest, ReadsWhatAnAccessControlListOpensToThisUserAlone) {
  struct Entry {
    std::uint16_t tag;
    std::uint16_t permissions;
    std::uint32_t id;
  };
  constexpr std::uint16_t kOwner = 0x01, kUser = 0x02, kGroup = 0x04, kNamedGroup = 0x08, kMask = 0x10, kOthers = 0x20;
  constexpr std::uint32_t kNobody = 0xffffffff;
  const auto file = hsm_.Write("pin", "1234", 0400);
  const auto open_to = [&](std::vector<Entry> more, std::uint16_t group) {
    std::vector<Entry> entries = {
        {kOwner, 4, kNobody}, {kGroup, group, kNobody}, {kMask, 4, kNobody}, {kOthers, 0, kNobody}};
    entries.insert(entries.begin() + (more.empty() || more[0].tag == kUser ? 1 : 2), more.begin(), more.end());
    std::string list("\x02\0\0\0", 4);
    list.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(Entry));
    ASSERT_EQ(setxattr(file.c_str(), "system.posix_acl_access", list.data(), list.size(), 0), 0)
        << std::strerror(errno);
    struct stat info{};
    ASSERT_EQ(stat(file.c_str(), &info), 0);
    ASSERT_EQ(info.st_mode & 0777U, 0440U);
  };
  open_to({{kUser, 4, geteuid()}}, 0);
  EXPECT_TRUE(Pin::ReadFile(file));
  open_to({{kUser, 4, geteuid()}, {kUser, 4, geteuid() + 1}}, 0);
  ExpectError(file, Code::kPinExposed);
  open_to({{kNamedGroup, 4, getegid() + 1}}, 0);
  ExpectError(file, Code::kPinExposed);
  open_to({}, 4);
  ExpectError(file, Code::kPinExposed);
}

TEST_F(PinTest, DropsOneFinalLineFeedAndNothingElse) {
  const auto digest = [&](const char* content) { return Pin::ReadFile(hsm_.Write("a", content))->Digest(Bytes{1}); };
  EXPECT_EQ(digest("1234"), digest("1234\n"));
  EXPECT_NE(digest("1234"), digest("1234\r\n"));
  EXPECT_NE(digest("1234"), digest("1234 "));
}

}  // namespace
}  // namespace assertion::p11
