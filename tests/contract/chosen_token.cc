// The one token that the environment names: CONTRACT_TOKEN is the name of a script of tests/tokens, whose token is in
// CONTRACT_FOLDER, or of a file of tests/faulty_hsm/personalities. See run.sh.

#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "contract/token_under_test.h"
#include "faulty_hsm/faulty_hsm.h"
#include "p11/attribute.h"
#include "p11/session.h"
#include "places.h"

namespace assertion {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

template <typename Value>
Value Must(Result<Value> result) {
  if (!result) {
    throw std::runtime_error(result.error().ToString());
  }
  return std::move(*result);
}

// The token of a script. All tests share it, so each begins by emptying it.
class TokenOfScript final : public FreshToken {
 public:
  explicit TokenOfScript(const TokenUnderTest& about) : folder_(Variable("CONTRACT_FOLDER")) {
    module_ = Must(p11::Module::Load(about.module_path, about.init_args));
    const auto uri = Must(TokenUri::Parse(ReadLine(folder_ + "/uri")));
    token_ = Must(p11::HsmToken::LogIn(module_, Must(module_->FindToken(uri)), folder_ + "/pin", folder_, {},
                                       about.accept_unshown));
    Empty();
  }

  p11::HsmToken& token() override { return *token_; }
  bool refuses_read_only() const override { return module_->refuses_read_only(); }

 private:
  void Empty() {
    auto session = Must(p11::Session::Open(module_, token_->info().slot, CKF_RW_SESSION));
    std::array pattern = {p11::Attribute(CKA_TOKEN, p11::kTrue)};
    for (const auto object : Must(session.Find(pattern))) {
      if (const auto destroyed = session.Destroy(object); !destroyed) {
        throw std::runtime_error(destroyed.error().ToString());
      }
    }
  }

  const std::string folder_;
  std::shared_ptr<p11::Module> module_;
  std::unique_ptr<p11::HsmToken> token_;
};

// SoftHSM2 behind a faulty_hsm that is the token of a personality.
class Personality final : public FreshToken {
 public:
  explicit Personality(const std::string& pin_prefix) {
    hsm_.AddToken("test");
    hsm_.Write("pin", pin_prefix + SoftHsm::kPin + "\n");
    module_ = Must(p11::Module::Load(FaultyHsm::Module()));
    token_ = Must(p11::HsmToken::LogIn(module_, Must(module_->FindToken(Must(TokenUri::Parse(hsm_.UriText())))),
                                       hsm_.pin_file(), hsm_.directory()));
  }

  p11::HsmToken& token() override { return *token_; }
  bool refuses_read_only() const override { return module_->refuses_read_only(); }

 private:
  SoftHsm hsm_;
  std::shared_ptr<p11::Module> module_;
  std::unique_ptr<p11::HsmToken> token_;
};

TokenUnderTest OfPersonality(const std::string& name, const std::string& path) {
  static const std::map<std::string, Lack> kLacks = {{"keys", Lack::kKeys},
                                                     {"certificates", Lack::kCertificates},
                                                     {"data objects", Lack::kDataObjects},
                                                     {"provider", Lack::kProvider}};
  std::ifstream file(path);
  const auto personality = nlohmann::json::parse(file);
  TokenUnderTest about{.name = name, .module_path = FaultyHsm::Module(), .make = {}};
  for (const auto& lack : personality.at("lacks")) {
    about.lacks.insert(kLacks.at(lack.get<std::string>()));
  }
  about.largest_data = personality.value("largest_data", about.largest_data);
  about.many_objects = false;
  const auto prefix = personality.value("pin_prefix", std::string());
  about.make = [prefix] { return std::make_unique<Personality>(prefix); };
  setenv("FAULTY_HSM_PERSONALITY", path.c_str(), 1);
  return about;
}

TokenUnderTest OfScript(const std::string& name, const std::string& folder) {
  TokenUnderTest about{.name = name,
                       .module_path = ReadLine(folder + "/module"),
                       .make = {},
                       .init_args = ReadLine(folder + "/init_args")};
  if (name == "softhsm_plain" || name == "p11kit_server") {
    about.lacks = {Lack::kProvider};
  } else if (name == "opencryptoki") {
    about.lacks = {Lack::kProvider};
  } else if (name == "nss" || name == "nss_p11kit") {
    about.lacks = {Lack::kDataObjects};
    about.accept_unshown = {"CKA_LOCAL", "custody"};
  } else if (name == "tpm") {
    about.lacks = {Lack::kP521};
  }
  about.many_objects = false;
  about.make = [about] { return std::make_unique<TokenOfScript>(about); };
  return about;
}

}  // namespace

std::vector<TokenUnderTest> TokensUnderTest() {
  const auto name = Variable("CONTRACT_TOKEN");
  const auto folder = Variable("CONTRACT_FOLDER");
  return {folder.empty() ? OfPersonality(name, ProjectPath("tests/faulty_hsm/personalities/" + name + ".json"))
                         : OfScript(name, folder)};
}

}  // namespace assertion
