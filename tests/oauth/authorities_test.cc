#include "oauth/authorities.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "certificate_authority.h"
#include "oauth/http.h"

namespace assertion::oauth {
namespace {

class AuthoritiesTest : public testing::Test {
 protected:
  std::string Path(const char* name) const { return authority_.directory() / name; }

  std::string Write(const std::string& text) const {
    std::ofstream(Path("file.pem")) << text;
    return Path("file.pem");
  }

  static std::string WhyNot(const std::string& file) {
    const auto authorities = ReadAuthorities(file);
    return authorities ? "it was read" : authorities.error().message;
  }

  CertificateAuthority authority_{"servers", CertificateAuthority::kRsa};
};

TEST_F(AuthoritiesTest, AreReadFromPemWithTextAroundIt) {
  const CertificateAuthority other("others", CertificateAuthority::kRsa);
  const auto authorities =
      ReadAuthorities(Write("servers:\n" + authority_.certificate() + "others:\n" + other.certificate() + "end\n"));
  ASSERT_TRUE(authorities) << authorities.error().ToString();
  EXPECT_EQ(sk_X509_OBJECT_num(X509_STORE_get0_objects(authorities->get())), 2);
}

class SystemAuthoritiesTest : public AuthoritiesTest {
 protected:
  SystemAuthoritiesTest() {
    setenv("SSL_CERT_FILE", Path("absent.pem").c_str(), 1);
    setenv("SSL_CERT_DIR", (Path("none") + ":" + Path("certs")).c_str(), 1);
    std::filesystem::create_directory(Path("certs"));
  }
  ~SystemAuthoritiesTest() override {
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
  }
  SystemAuthoritiesTest(const SystemAuthoritiesTest&) = delete;
  SystemAuthoritiesTest& operator=(const SystemAuthoritiesTest&) = delete;
};

TEST_F(SystemAuthoritiesTest, AreMissingWhereNeitherFileNorFolderHasAny) {
  std::ofstream(Path("certs/authority.pem")) << authority_.certificate();  // OpenSSL does not find it by this name
  std::ofstream(Path("certs/0123abcd.")) << authority_.certificate();
  const auto checked = CheckAuthorities("");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message, "is absent, and this machine trusts no authority (" + Path("absent.pem") +
                                         " and " + Path("none") + ":" + Path("certs") +
                                         " have none): install ca-certificates, or name a file");
}

TEST_F(SystemAuthoritiesTest, AreThereInAFile) {
  setenv("SSL_CERT_FILE", Write(authority_.certificate()).c_str(), 1);
  EXPECT_TRUE(CheckAuthorities(""));
}

TEST_F(SystemAuthoritiesTest, AreThereInAFolder) {
  std::ofstream(Path("certs/0123abcd.0")) << authority_.certificate();
  EXPECT_TRUE(CheckAuthorities(""));
}

// Each at once: a test that hangs here has failed.
TEST_F(AuthoritiesTest, AFileThatHasNoneIsNamed) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink(Path("fifo"), Path("link"));
  const auto pem = authority_.certificate();
  for (const auto& [file, why] : {
           std::pair{Path("absent"), "cannot be read: No such file or directory"},
           {Path("fifo"), "cannot be read: it is a FIFO, not a regular file"},
           {Path("link"), "cannot be read: it is a FIFO, not a regular file"},
           {Path("."), "cannot be read: it is a folder, not a regular file"},
           {std::string("/dev/zero"), "cannot be read: it is a device, not a regular file"},
       }) {
    EXPECT_EQ(WhyNot(file), file + ": " + why);
  }
  EXPECT_TRUE(WhyNot(Write("")).ends_with("file.pem: no PEM certificate of an authority"));
  EXPECT_TRUE(WhyNot(Write("no certificate")).ends_with("no PEM certificate of an authority"));
  EXPECT_TRUE(WhyNot(Write(pem + pem.substr(0, pem.size() / 2))).ends_with("a certificate is cut off, or not PEM"));
}

TEST_F(AuthoritiesTest, AFileThatMayNotBeReadIsNamed) {
  constexpr uid_t kOther = 60001;
  const auto file = Write(authority_.certificate());
  std::filesystem::permissions(file, std::filesystem::perms::none);
  const auto user = geteuid();
  ASSERT_EQ(seteuid(user == 0 ? kOther : user), 0);  // root may read any file
  const auto why = WhyNot(file);
  ASSERT_EQ(seteuid(user), 0);
  EXPECT_EQ(why, file + ": cannot be read: Permission denied");
}

// The file is read before the server is called.
TEST_F(AuthoritiesTest, AnExchangeDoesNotWaitForThem) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  const auto answer = Exchange("https://127.0.0.1:1", Path("fifo"), {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_EQ(answer.error().message, "TLS with https://127.0.0.1:1: the file of authorities " + Path("fifo") +
                                        ": cannot be read: it is a FIFO, not a regular file");
}

}  // namespace
}  // namespace assertion::oauth
