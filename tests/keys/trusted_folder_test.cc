#include "keys/trusted_folder.h"

#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "softhsm.h"

namespace assertion {
namespace {

TEST(TrustedFolderTest, EveryFolderAboveTheSocketMustBeTrusted) {
  const SoftHsm hsm;
  using std::filesystem::perms;
  const auto top = hsm.directory() / "top";
  const auto folder = top / "a" / "b";
  std::filesystem::create_directories(folder);
  for (const auto& each : {top, folder.parent_path(), folder}) {
    std::filesystem::permissions(each, perms(0755));
  }
  const auto why = [](const std::filesystem::path& path) {
    const auto trusted = CheckTrustedFolder(path);
    return trusted ? "" : trusted.error().message;
  };
  EXPECT_EQ(why(folder), "");
  EXPECT_EQ(why(top / "." / "a" / ".." / "a" / "b" / ""), "");
  EXPECT_EQ(why("/"), "");
  EXPECT_EQ(why(top / "none" / "c"), (top / "none").string() + " does not exist");

  std::filesystem::permissions(top, perms(0775));
  EXPECT_NE(why(folder).find((top.string() + " is writable by its group")), std::string::npos);
  std::filesystem::permissions(top, perms(0757));
  EXPECT_NE(why(folder).find((top.string() + " is writable by everybody")), std::string::npos);
  // Like /tmp: others cannot replace our entries, but can create new ones.
  std::filesystem::permissions(top, perms(01777));
  EXPECT_EQ(why(folder), "");
  EXPECT_NE(why(top).find("is writable by everybody"), std::string::npos);
  EXPECT_TRUE(CheckTrustedFolder(top, Sticky::kFoldersAndFiles));

  std::filesystem::create_symlink("top/a/../a", hsm.directory() / "link");
  EXPECT_EQ(why(hsm.directory() / "link" / "b"), "");
  std::filesystem::create_symlink("/tmp", hsm.directory() / "away");
  EXPECT_NE(why(hsm.directory() / "away").find("/tmp is writable by everybody"), std::string::npos);
  std::filesystem::create_symlink("round", hsm.directory() / "round");
  EXPECT_NE(why(hsm.directory() / "round").find("leads nowhere"), std::string::npos);
  EXPECT_NE(why(hsm.Write("file", "")).find("is no folder"), std::string::npos);

  if (geteuid() == 0) {  // only root can give a file away
    constexpr uid_t kOther = 60001;
    std::filesystem::create_symlink(folder, top / "theirs");
    ASSERT_EQ(lchown((top / "theirs").c_str(), kOther, kOther), 0);
    EXPECT_NE(why(top / "theirs").find("theirs belongs to user 60001"), std::string::npos);
    std::filesystem::permissions(top, perms(0755));
    ASSERT_EQ(chown(top.c_str(), kOther, kOther), 0);
    EXPECT_NE(why(folder).find(top.string() + " belongs to user 60001"), std::string::npos);
    ASSERT_EQ(chown(top.c_str(), 0, 0), 0);
  }
}

TEST(TrustedFolderTest, AFileAndEachLinkToItBelongToRootOrThisUser) {
  const SoftHsm hsm;
  const std::filesystem::path file = hsm.Write("file", "");
  const auto link = hsm.directory() / "link";
  std::filesystem::permissions(hsm.directory(), std::filesystem::perms(0700));
  std::filesystem::create_symlink(file, link);
  std::filesystem::create_symlink("link", hsm.directory() / "far");
  const auto why = [](const std::filesystem::path& path) {
    const auto trusted = CheckTrustedFile(path);
    return trusted ? "" : trusted.error().message;
  };
  EXPECT_EQ(why(file), "");
  EXPECT_EQ(why(hsm.directory() / "far"), "");
  EXPECT_NE(why(hsm.directory() / "none"), "");
  std::filesystem::permissions(file, std::filesystem::perms(0620));
  EXPECT_EQ(why(link), file.string() + " is writable by its group: chmod go-w " + file.string());
  std::filesystem::permissions(file, std::filesystem::perms(0644));

  if (geteuid() == 0) {  // only root can give a file away
    constexpr uid_t kOther = 60001;
    constexpr uid_t kOverflow = 65534;
    ASSERT_EQ(chown(file.c_str(), kOther, 0), 0);
    EXPECT_TRUE(why(file).starts_with(file.string() + " belongs to user 60001, who")) << why(file);
    EXPECT_TRUE(why(link).starts_with(file.string() + " belongs to user 60001, who")) << why(link);
    ASSERT_EQ(chown(file.c_str(), kOverflow, 0), 0);
    EXPECT_NE(why(file).find("user 65534 (nobody, or one outside of this container), who"), std::string::npos);
    ASSERT_EQ(chown(file.c_str(), 0, 0), 0);
    EXPECT_EQ(why(file), "");
    ASSERT_EQ(lchown(link.c_str(), kOther, 0), 0);
    EXPECT_TRUE(why(link).starts_with(link.string() + " belongs to user 60001, who")) << why(link);
    EXPECT_TRUE(why(hsm.directory() / "far").starts_with(link.string() + " belongs to user 60001, who"));
  }
}

}  // namespace
}  // namespace assertion
