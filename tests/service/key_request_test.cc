// Pending changes in the format that assertiond stored before 'pending_changes' had one. The octets come from such a
// build.

#include "service/key_request.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "keys/pending_changes.h"
#include "keys/seal.h"
#include "replica.h"
#include "softhsm.h"

namespace assertion::service {
namespace {

using std::chrono::seconds;

constexpr const char* kKid = "rhu77R9r9hR2GyOZRL2YgQ8dKTyLfzMuGdNuct4rOOk";

constexpr const char* kGeneration =
    R"({"client_id":"orders","digest":"Jq9AFodn0lomLLKrqRnci0sZ98Mxl42qJgBeIBrelxc","expires_at":4949451403)"
    R"(,"id":"44bf928ebf3fd745d218660e12defbd2","kid":"","method":"GenerateKey","request":"CgZvcmRlcnMQgBga)"
    R"(CU9yZGVycyDDvCIFCID40gEqFQgBEglyZXF1ZXN0LTcaBm9yZGVyczIEdGVzdDoFUFMyNTY","requested_by":["uid:0"]})";

constexpr const char* kBareGeneration =
    R"({"client_id":"keyless","digest":"ZyvbWv-GlFbaCJp7rxxfkQXkEaWPV9bJce_fXmZW-xU","expires_at":494945140)"
    R"(3,"id":"031d0077f56a9a4c5d21da4cf7f3378c","kid":"","method":"GenerateKey","request":"CgdrZXlsZXNzKgI)"
    R"(IAA","requested_by":["uid:0"]})";

constexpr const char* kRotation =
    R"({"client_id":"orders","digest":"hyluMgzp_XKEzhC10Lf_d2I6FuzFQz5QQlgFs0RgDIY","expires_at":4949451403)"
    R"(,"id":"86eb2802459b0f2e643ac857c5df130f","kid":"","method":"RotateKey","request":"CgZvcmRlcnMqBgiA0K)"
    R"(zzDjIVCAESCXJlcXVlc3QtNxoGb3JkZXJzQgVFUzI1Ng","requested_by":["uid:0"]})";

constexpr const char* kImport =
    R"({"client_id":"orders","digest":"lTBm6w8KmspAX9b7r3lLIN5g5EbwXfRTGLjFiyvsbug","expires_at":4949451403)"
    R"(,"id":"37ece3d4251abbc03e3587811952c54b","kid":"rhu77R9r9hR2GyOZRL2YgQ8dKTyLfzMuGdNuct4rOOk","method)"
    R"(":"ImportCertificate","request":"CgZvcmRlcnMSK3JodTc3UjlyOWhSMkd5T1pSTDJZZ1E4ZEtUeUxmek11R2ROdWN0NHJ)"
    R"(PT2saAzAA_yIVCAESCXJlcXVlc3QtNxoGb3JkZXJz","requested_by":["uid:0"]})";

constexpr const char* kRescheduling =
    R"({"client_id":"orders","digest":"xfMLfwtO9X-GJobB6HeblnhYb_EZJBKDuEHhY-yuc58","expires_at":4949451403)"
    R"(,"id":"d64f3db584d2652aa7584632b0b73808","kid":"rhu77R9r9hR2GyOZRL2YgQ8dKTyLfzMuGdNuct4rOOk","method)"
    R"(":"ScheduleKey","request":"CgZvcmRlcnMSK3JodTc3UjlyOWhSMkd5T1pSTDJZZ1E4ZEtUeUxmek11R2ROdWN0NHJPT2sqB)"
    R"(giA0KzzDjIHCP-C0f-vBzoVCAESCXJlcXVlc3QtNxoGb3JkZXJz","requested_by":["uid:0"]})";

constexpr const char* kFractionalRescheduling =
    R"({"client_id":"orders","digest":"v8GHvFpUmpqQuk4uMc1wsEZYPhmQm06mq1yIrfiTryw","expires_at":4949451403)"
    R"(,"id":"55da4db1572cb0d1b6402ee023c3ce99","kid":"rhu77R9r9hR2GyOZRL2YgQ8dKTyLfzMuGdNuct4rOOk","method)"
    R"(":"ScheduleKey","request":"CgZvcmRlcnMSK3JodTc3UjlyOWhSMkd5T1pSTDJZZ1E4ZEtUeUxmek11R2ROdWN0NHJPT2sqC)"
    R"(AiA0KzzDhABOhUIARIJcmVxdWVzdC03GgZvcmRlcnM","requested_by":["uid:0"]})";

constexpr const char* kRevocation =
    R"({"client_id":"orders","digest":"WdlADhuSn0QqwPUtYI9ZUXLKOVDCcnECLsyjor1chMQ","expires_at":4949451403)"
    R"(,"id":"bacea7bbeccb4ea3d689f06741ca5de0","kid":"rhu77R9r9hR2GyOZRL2YgQ8dKTyLfzMuGdNuct4rOOk","method)"
    R"(":"RevokeKey","request":"CgZvcmRlcnMSK3JodTc3UjlyOWhSMkd5T1pSTDJZZ1E4ZEtUeUxmek11R2ROdWN0NHJPT2saFQg)"
    R"(BEglyZXF1ZXN0LTcaBm9yZGVycw","requested_by":["uid:0"]})";

constexpr const char* kDestruction =
    R"({"client_id":"orders","digest":"CKAPWVmtiSBnbAoaN8oXmyjOqKCl4H5-qv7tvNMHjA0","expires_at":4949451403)"
    R"(,"id":"83676e1d517ee231ea894c488dbe96b8","kid":"rhu77R9r9hR2GyOZRL2YgQ8dKTyLfzMuGdNuct4rOOk","method)"
    R"(":"DestroyKey","request":"CgZvcmRlcnMSK3JodTc3UjlyOWhSMkd5T1pSTDJZZ1E4ZEtUeUxmek11R2ROdWN0NHJPT2saFQ)"
    R"(gBEglyZXF1ZXN0LTcaBm9yZGVycw","requested_by":["uid:0"]})";

class StoredRequestsTest : public testing::Test {
 protected:
  // Reads the change from the token as a current server does.
  Result<PendingChange> Stored(const std::string& payload) {
    const auto id = nlohmann::json::parse(payload)["id"].get<std::string>();
    EXPECT_TRUE(hsm_.token().StoreData("assertiond pending", id, *seal_.Sign(Seal::kPendingChange, payload)));
    const auto changes = *pending_.List();
    const auto found = std::ranges::find(changes, id, &PendingChange::id);
    EXPECT_TRUE(pending_.Strays()->empty());
    return found == changes.end() ? Fail(Code::kNotFound, "not listed") : Result<PendingChange>(*found);
  }

  template <typename Change>
  Change Read(const std::string& payload) {
    const auto pending = Stored(payload);
    if (!pending || !pending->change || !std::holds_alternative<Change>(*pending->change)) {
      ADD_FAILURE() << (pending && !pending->change ? pending->change.error().ToString() : "not that change");
      return {};
    }
    EXPECT_EQ(pending->method, MethodOf(*pending->change));
    EXPECT_EQ(pending->client_id, RequestOf(*pending->change).client_id);
    EXPECT_EQ(pending->kid, KidOf(*pending->change));
    EXPECT_EQ(pending->requested_by, (std::vector<std::string>{"uid:0"}));
    EXPECT_TRUE(pending_.Find(pending->id, nlohmann::json::parse(payload)["digest"].get<std::string>()));
    return std::get<Change>(*pending->change);
  }

  static void ExpectOrders(const ChangeRequest& change) {
    EXPECT_EQ(change.client_id, "orders");
    EXPECT_EQ(change.expected_version, 1);
    EXPECT_EQ(change.request_id, "request-7");
    EXPECT_TRUE(change.forced);
    EXPECT_EQ(change.digest.size(), 43U);
  }

  LoggedInSoftHsm hsm_;
  Seal seal_{hsm_.token(), RandomOctets};
  PendingChanges pending_{hsm_.token(), [] { return Time(seconds(1'800'000'000)); }, RandomOctets, ReadStoredRequest};
};

TEST_F(StoredRequestsTest, NewKeysAreMadeAsRequested) {
  const auto generation = Read<KeyGeneration>(kGeneration);
  ExpectOrders(generation.change);
  EXPECT_EQ(generation.key.algorithm, "PS256");
  EXPECT_EQ(generation.key.bits, 3072);
  EXPECT_EQ(generation.key.common_name, "Orders \xc3\xbc");
  EXPECT_EQ(generation.key.certificate_validity, std::chrono::days(40));
  EXPECT_EQ(generation.key.hsm, "test");
  const auto bare = Read<KeyGeneration>(kBareGeneration);
  EXPECT_EQ(bare.change.client_id, "keyless");
  EXPECT_EQ(bare.change.expected_version, 0);
  EXPECT_FALSE(bare.change.forced);
  EXPECT_FALSE(bare.key.certificate_validity);
  const auto rotation = Read<KeyRotation>(kRotation);
  ExpectOrders(rotation.change);
  EXPECT_EQ(rotation.key.algorithm, "ES256");
  EXPECT_EQ(rotation.sign_from, Time(seconds(4'000'000'000)));
}

TEST_F(StoredRequestsTest, KeysAreChangedAsRequested) {
  const auto import = Read<CertificateImport>(kImport);
  ExpectOrders(import.change);
  EXPECT_EQ(import.kid, kKid);
  EXPECT_EQ(import.certificates, std::string("\x30\x00\xff", 3));
  const auto rescheduling = Read<KeyRescheduling>(kRescheduling);
  ExpectOrders(rescheduling.change);
  EXPECT_EQ(rescheduling.kid, kKid);
  EXPECT_FALSE(rescheduling.instants.publish_from);
  EXPECT_FALSE(rescheduling.instants.sign_from);
  EXPECT_EQ(rescheduling.instants.sign_until, Time(seconds(4'000'000'000)));
  EXPECT_EQ(rescheduling.instants.publish_until, kNever);
  const auto revocation = Read<KeyRevocation>(kRevocation);
  ExpectOrders(revocation.change);
  EXPECT_EQ(revocation.kid, kKid);
  const auto destruction = Read<KeyDestruction>(kDestruction);
  ExpectOrders(destruction.change);
  EXPECT_EQ(destruction.kid, kKid);
}

TEST_F(StoredRequestsTest, ALedgerIsAcceptedAsRequested) {
  v1::AcceptLedgerRequest request;
  request.set_client_id("orders");
  request.set_hsm("test");
  request.mutable_change()->set_expected_version(4);
  request.mutable_change()->set_force_client_id("orders");
  const auto change = ReadStoredRequest("AcceptLedger", request.SerializeAsString());
  ASSERT_TRUE(change) << change.error().ToString();
  EXPECT_EQ(std::get<LedgerAcceptance>(*change).hsm, "test");
  EXPECT_EQ(std::get<LedgerAcceptance>(*change).change.expected_version, 4);
}

TEST_F(StoredRequestsTest, AnImpossibleRequestIsListedWithTheReason) {
  const auto pending = Stored(kFractionalRescheduling);
  ASSERT_TRUE(pending);
  ASSERT_FALSE(pending->change);
  EXPECT_EQ(pending->change.error().code, Code::kInvalidArgument);
  EXPECT_TRUE(pending->change.error().message.starts_with("sign_until: must be whole seconds"));
}

TEST_F(StoredRequestsTest, AnUnknownMethodOrAWrongDigestIsNotExecuted) {
  auto json = nlohmann::json::parse(kRevocation);
  json["digest"] = "WdlADhuSn0QqwPUtYI9ZUXLKOVDCcnECLsyjor1chMR";
  const auto altered = Stored(json.dump());
  ASSERT_TRUE(altered);
  ASSERT_FALSE(altered->change);
  EXPECT_EQ(altered->change.error().message, "digest: is not that of what is kept on the token");
  EXPECT_EQ(ReadStoredRequest("Reboot", "").error().message, "id: this server does not know what the change is");
  EXPECT_EQ(ReadStoredRequest("RevokeKey", "\xff").error().code, Code::kFailedPrecondition);
}

// doctor has no Protobuf. It must not report such a change as a stray.
TEST_F(StoredRequestsTest, WithoutAReaderARequestIsListedAndNotExecuted) {
  ASSERT_TRUE(Stored(kRevocation));
  const PendingChanges reader(hsm_.token(), [] { return Time(seconds(1'800'000'000)); }, RandomOctets);
  EXPECT_TRUE(reader.Strays()->empty());
  ASSERT_EQ(reader.List()->size(), 1U);
  EXPECT_FALSE(reader.List()->front().change);
}

// A request that is repeated after an update is recognised by its id and digest.
TEST_F(StoredRequestsTest, ARepeatedRequestHasTheSameDigest) {
  v1::RevokeKeyRequest request;
  request.set_client_id("orders");
  request.set_kid(kKid);
  request.mutable_change()->set_expected_version(99);
  request.mutable_change()->set_request_id("another");
  request.mutable_change()->set_force_client_id("orders");
  EXPECT_EQ(RequestOf(*KeyChangeOf(request)).digest, Read<KeyRevocation>(kRevocation).change.digest);
}

// A digest of a rotation that gives these instants.
std::string DigestOfRotation(std::int64_t sign_from, const std::string& as_given, const std::string& algorithm = {}) {
  v1::RotateKeyRequest request;
  request.set_client_id("orders");
  request.set_algorithm(algorithm);
  request.mutable_sign_from()->set_seconds(sign_from);
  request.mutable_change()->set_expected_version(1);
  request.mutable_change()->set_instants_as_given(as_given);
  return RequestOf(*KeyChangeOf(request)).digest;
}

TEST(RepeatedRequestTest, ARotationInTheSameWordsIsTheSame) {
  EXPECT_EQ(DigestOfRotation(1000, "sign_from=now"), DigestOfRotation(1001, "sign_from=now"));
  EXPECT_NE(DigestOfRotation(1000, "sign_from=now"), DigestOfRotation(1000, "sign_from=+2h"));
  EXPECT_NE(DigestOfRotation(1000, "sign_from=now"), DigestOfRotation(1000, "sign_from=now", "ES256"));
  EXPECT_NE(DigestOfRotation(1000, ""), DigestOfRotation(1001, "")) << "without words the instants count";
}

TEST(RepeatedRequestTest, AReschedulingInTheSameWordsIsTheSame) {
  const auto digest = [](std::int64_t from, const std::string& kid) {
    v1::ScheduleKeyRequest request;
    request.set_client_id("orders");
    request.set_kid(kid);
    request.mutable_publish_from()->set_seconds(from);
    request.mutable_sign_from()->set_seconds(from + 1);
    request.mutable_sign_until()->set_seconds(from + 2);
    request.mutable_publish_until()->set_seconds(from + 3);
    request.mutable_change()->set_expected_version(1);
    request.mutable_change()->set_instants_as_given("all in good time");
    return RequestOf(*KeyChangeOf(request)).digest;
  };
  EXPECT_EQ(digest(1000, kKid), digest(2000, kKid));
  EXPECT_NE(digest(1000, kKid), digest(1000, "another"));
}

TEST(RepeatedRequestTest, TheWordsHaveALimit) {
  v1::RotateKeyRequest request;
  request.mutable_change()->set_expected_version(1);
  request.mutable_change()->set_instants_as_given(std::string(201, 'a'));
  EXPECT_EQ(KeyChangeOf(request).error().message, "change.instants_as_given: must be at most 200 octets");
}

}  // namespace
}  // namespace assertion::service
