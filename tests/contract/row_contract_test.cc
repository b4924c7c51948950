// Writes the token's row of hsm-config/compatibility.md to the file that CONTRACT_ROW names.

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "contract/contract.h"

namespace assertion {
namespace {

class RowContractTest : public ContractTest {
 protected:
  // Signatures a second over this token in one session.
  int SignaturesPerSecond(const TokenKey& key) {
    const auto session = token().OpenSigningSession();
    if (!session) {
      return 0;
    }
    constexpr std::chrono::milliseconds kTime{500};
    const auto begin = std::chrono::steady_clock::now();
    int signatures = 0;
    auto taken = std::chrono::steady_clock::duration::zero();
    while (taken < kTime && (*session)->Sign(key.id, kRs256, "input")) {
      ++signatures;
      taken = std::chrono::steady_clock::now() - begin;
    }
    return static_cast<int>(signatures / std::chrono::duration<double>(taken).count());
  }

  std::string SigningMechanisms() {
    std::string text;
    for (const auto& algorithm : kAlgorithms) {
      const bool on_p521 = algorithm.curve != nullptr && algorithm.curve->name == "P-521";
      if (token().Supports(algorithm) && !(on_p521 && Lacks(Lack::kP521))) {
        text += (text.empty() ? "" : ", ") + std::string(algorithm.name) + ": " + token().MechanismOf(algorithm);
      }
    }
    return text;
  }

  std::string LargestData() {
    for (const std::size_t octets : {16'000U, 8'000U, 4'000U, 2'000U}) {
      if (token().StoreData("app", "row", std::string(octets, 'x'))) {
        return octets == 16'000U ? "token" : "token, up to " + std::to_string(octets) + " octets";
      }
    }
    return "file";
  }

  // The functions by which something came out, or a flag changed, and not the ways: the page holds no recipes.
  std::string Custody() {
    const auto trials = token().Describe().trials;
    const auto trial = trials.find(kRs256.key_type().name);
    if (trial == trials.end()) {
      return "not tried";
    }
    std::map<WayOutcome, std::set<std::string>> functions;
    for (const auto& way : trial->second.ways) {
      functions[way.outcome].insert(way.name.substr(0, way.name.find(' ')));
    }
    std::string text;
    for (const auto outcome : {WayOutcome::kLetThrough, WayOutcome::kFlagNotProtected, WayOutcome::kNotTried}) {
      for (const auto& function : functions[outcome]) {
        text += (text.empty() ? "" : "; ") + function + " " + std::string(OutcomeName(outcome));
      }
    }
    return text.empty() ? "held" : text;
  }

  nlohmann::ordered_json OfKeys() {
    const auto key = Generate({1});
    if (!key) {
      return {{"keys", "no"}};
    }
    nlohmann::ordered_json row = {{"keys", "yes"}, {"unshown", nlohmann::json::array()}};
    for (const auto& attribute : key->attributes) {
      if (attribute.accepted && attribute.value != attribute.required) {
        row["unshown"].push_back(attribute.name);
      }
    }
    const auto made = SelfSign(*key, kRs256);
    row["certificates"] =
        made && token().StoreCertificate("orders", Bytes{1}, made->subject, made->certificate.der) ? "yes" : "no";
    const auto certifier = x509::Certifier::New(GetParam().module_path, GetParam().init_args);
    row["provider"] = certifier && (*certifier)->TryProvider(CertifiedKey(*key, kRs256)) ? "yes" : "no";
    row["custody"] = Custody();
    row["signatures"] = SignaturesPerSecond(*key);
    return row;
  }
};

TEST_P(RowContractTest, ItsRowIsWritten) {
  auto row = OfKeys();
  const auto description = token().Describe();
  row["token"] = GetParam().name;
  row["module"] = description.module;
  row["model"] = description.manufacturer + ", " + description.model + " " + description.firmware;
  row["not_asked"] = description.not_asked;
  row["mechanisms"] = SigningMechanisms();
  row["ledger"] = LargestData();
  row["sessions"] = fresh_->refuses_read_only() ? "read-write" : "read-only";
  row["reload"] = token().Reconnect(Reconnection::kReload) && token().Check() ? "yes" : "no";
  const char* path = std::getenv("CONTRACT_ROW");
  ASSERT_NE(path, nullptr);
  std::ofstream file(path);
  file << row.dump(1) << "\n";
  EXPECT_TRUE(file.good());
}

INSTANTIATE_TEST_SUITE_P(Token, RowContractTest, testing::ValuesIn(TokensUnderTest()), kTokenName);

}  // namespace
}  // namespace assertion
