#include "softhsm.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <fstream>

namespace assertion {
namespace {

std::filesystem::path MakeDirectory() {
  auto path = (std::filesystem::temp_directory_path() / "assertion-test-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) {
    throw std::runtime_error("mkdtemp");
  }
  return path;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

SoftHsm::SoftHsm() : directory_(MakeDirectory()) {
  std::filesystem::create_directory(directory_ / "tokens");
  const auto conf = Write("softhsm2.conf", "directories.tokendir = " + (directory_ / "tokens").string() +
                                               "\nobjectstore.backend = file\nlog.level = ERROR\n");
  setenv("SOFTHSM2_CONF", conf.c_str(), 1);
  Write("pin", std::string(kPin) + "\n");
}

SoftHsm::~SoftHsm() { std::filesystem::remove_all(directory_); }

void SoftHsm::AddToken(const std::string& label) const {
  const auto command = "softhsm2-util --init-token --free --label '" + label + "' --pin " + kPin +
                       " --so-pin 12345678 > " + (directory_ / "softhsm2-util.log").string() + " 2>&1";
  if (std::system(command.c_str()) != 0) {
    throw std::runtime_error("softhsm2-util");
  }
}

std::filesystem::path SoftHsm::FolderOf(const std::string& label) const {
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "tokens")) {
    if (ReadFile(entry.path() / "token.object").find(label + ' ') != std::string::npos) {  // padded with blanks
      return entry.path();
    }
  }
  throw std::runtime_error("no token " + label);
}

std::vector<std::filesystem::path> SoftHsm::ObjectFiles() const {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_ / "tokens")) {
    if (entry.path().extension() == ".object" && entry.path().filename() != "token.object") {
      files.push_back(entry.path());
    }
  }
  return files;
}

void SoftHsm::CloneToken(const std::string& label, const std::string& copy) const {
  const auto original = FolderOf(label);
  const auto twin = directory_ / "tokens" / ("clone-" + copy);
  std::filesystem::copy(original, twin, std::filesystem::copy_options::recursive);
  auto description = ReadFile(original / "token.object");
  const auto at = description.find(label + ' ');
  description.replace(at, label.size(), copy);
  // The serial number (16 digits) follows the label (32 octets). SoftHSM2 derives the slot number from its last digits.
  description.replace(description.find_first_of("0123456789abcdef", at + 32) + 8, 8, "00c0c0c0");
  std::ofstream(twin / "token.object", std::ios::binary) << description;
}

std::string SoftHsm::UriText(const std::string& label) const {
  return "pkcs11:token=" + label + "?module-path=" SOFTHSM2_MODULE "&pin-source=file:" + pin_file();
}

std::string SoftHsm::Write(const std::string& name, const std::string& content, unsigned mode) const {
  const auto path = (directory_ / name).string();
  std::ofstream(path) << content;
  chmod(path.c_str(), mode);
  return path;
}

LoggedInSoftHsm::LoggedInSoftHsm(const std::string& module) {
  AddToken("test");
  module_ = *p11::Module::Load(module);
  const auto uri = *TokenUri::Parse(UriText());
  token_ = *p11::HsmToken::LogIn(module_, *module_->FindToken(uri), pin_file(), directory());
}

void LoggedInSoftHsm::MakeKey(const std::string& label, const Bytes& id, bool sensitive, bool extractable,
                              bool decrypts) {
  auto session = *p11::Session::Open(module_, token_->info().slot, CKF_RW_SESSION);
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  CK_BBOOL is_sensitive = sensitive ? CK_TRUE : CK_FALSE;
  CK_BBOOL does_decrypt = decrypts ? CK_TRUE : CK_FALSE;
  CK_BBOOL is_extractable = extractable ? CK_TRUE : CK_FALSE;
  CK_ULONG bits = 2048;
  auto name = label;
  auto key_id = id;
  std::array public_template = {CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes}, CK_ATTRIBUTE{CKA_VERIFY, &yes, sizeof yes},
                                CK_ATTRIBUTE{CKA_MODULUS_BITS, &bits, sizeof bits},
                                CK_ATTRIBUTE{CKA_LABEL, name.data(), name.size()},
                                CK_ATTRIBUTE{CKA_ID, key_id.data(), key_id.size()}};
  std::array private_template = {CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},
                                 CK_ATTRIBUTE{CKA_SIGN, &yes, sizeof yes},
                                 CK_ATTRIBUTE{CKA_PRIVATE, &yes, sizeof yes},
                                 CK_ATTRIBUTE{CKA_DECRYPT, &does_decrypt, sizeof does_decrypt},
                                 CK_ATTRIBUTE{CKA_UNWRAP, &no, sizeof no},
                                 CK_ATTRIBUTE{CKA_SIGN_RECOVER, &no, sizeof no},
                                 CK_ATTRIBUTE{CKA_SENSITIVE, &is_sensitive, sizeof is_sensitive},
                                 CK_ATTRIBUTE{CKA_EXTRACTABLE, &is_extractable, sizeof is_extractable},
                                 CK_ATTRIBUTE{CKA_LABEL, name.data(), name.size()},
                                 CK_ATTRIBUTE{CKA_ID, key_id.data(), key_id.size()}};
  const auto pair = session.GenerateKeyPair({CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0}, public_template, private_template);
  ASSERT_TRUE(pair) << pair.error().ToString();
}

void LoggedInSoftHsm::StorePublicData(std::string_view application, std::string_view label, std::string_view value) {
  auto session = *p11::Session::Open(module_, token_->info().slot, CKF_RW_SESSION);
  CK_OBJECT_CLASS object_class = CKO_DATA;
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  std::array texts = {std::string(application), std::string(label), std::string(value)};
  std::array attributes = {CK_ATTRIBUTE{CKA_CLASS, &object_class, sizeof object_class},
                           CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},
                           CK_ATTRIBUTE{CKA_PRIVATE, &no, sizeof no},
                           CK_ATTRIBUTE{CKA_APPLICATION, texts[0].data(), texts[0].size()},
                           CK_ATTRIBUTE{CKA_LABEL, texts[1].data(), texts[1].size()},
                           CK_ATTRIBUTE{CKA_VALUE, texts[2].data(), texts[2].size()}};
  const auto created = session.Create(attributes);
  ASSERT_TRUE(created) << created.error().ToString();
}

void LoggedInSoftHsm::Close() {
  token_.reset();
  module_.reset();
}

}  // namespace assertion
