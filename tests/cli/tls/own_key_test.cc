#include "cli/tls/own_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "cli/text.h"
#include "softhsm.h"

namespace assertion::cli {
namespace {

Config With(const std::filesystem::path& certificate) {
  Config config;
  config.tls.emplace();
  config.tls->certificate = certificate;
  return config;
}

int EntriesOf(const std::filesystem::path& folder) {
  return static_cast<int>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// Who may write in the folder could otherwise have root write a file of his choice.
TEST(TlsCertificate, IsNotWrittenThroughALinkThatWaitsForTheDraft) {
  const SoftHsm hsm;
  const auto folder = hsm.directory() / "tls";
  std::filesystem::create_directory(folder);
  const auto victim = folder / "victim";
  ASSERT_TRUE(WriteText(victim, "kept"));
  std::filesystem::create_symlink("victim", folder / "tls.pem.new");
  std::filesystem::create_symlink("victim", folder / "tls.pem");
  const auto written = WriteTlsCertificate(With(folder / "tls.pem"), "certificate");
  ASSERT_TRUE(written) << written.error().ToString();
  EXPECT_EQ(*ReadText(victim), "kept");
  EXPECT_EQ(*ReadText(folder / "tls.pem"), "certificate");
  struct stat info{};
  ASSERT_EQ(lstat((folder / "tls.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFREG | 0644));
  EXPECT_EQ(EntriesOf(folder), 3);
}

TEST(TlsCertificate, ThatCannotBePutInPlaceLeavesNoDraft) {
  const SoftHsm hsm;
  const auto folder = hsm.directory() / "tls";
  std::filesystem::create_directories(folder / "tls.pem" / "full");
  const auto written = WriteTlsCertificate(With(folder / "tls.pem"), "certificate");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, "cannot write " + (folder / "tls.pem").string() + ": Is a directory");
  EXPECT_EQ(EntriesOf(folder), 1);
  EXPECT_FALSE(WriteTlsCertificate(With(folder / "none" / "tls.pem"), "certificate"));
}

}  // namespace
}  // namespace assertion::cli
