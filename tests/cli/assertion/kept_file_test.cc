#include "cli/assertion/kept_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "softhsm.h"

namespace assertion::cli {
namespace {

using std::filesystem::path;
using std::filesystem::perms;

class KeptFileTest : public testing::Test {
 protected:
  path Folder(const path& name, unsigned mode) const {
    const auto folder = home_.directory() / name;
    std::filesystem::create_directories(folder);
    std::filesystem::permissions(folder, perms(mode));
    return folder;
  }

  static std::string Why(const path& folder) {
    const auto file = KeptFile::In(folder / "assertion");
    return file ? "" : file.error().message;
  }

  const SoftHsm home_;  // for its folder, which belongs to this user
};

TEST_F(KeptFileTest, AFolderAboveThatOthersMayWriteIsRefused) {
  const auto above = Folder("above", 0755);
  const auto folder = Folder("above/own", 0700);
  EXPECT_EQ(Why(folder), "");
  for (const unsigned mode : {0777U, 0770U}) {
    std::filesystem::permissions(above, perms(mode));
    EXPECT_NE(Why(folder).find(above.string() + " is writable by "), std::string::npos) << Why(folder);
  }
  std::filesystem::permissions(above, perms(01777));  // like /tmp: others cannot rename what is not theirs
  EXPECT_EQ(Why(folder), "");
}

TEST_F(KeptFileTest, AFolderThatIsMissingIsToldAsThat) {
  const auto folder = Folder("above", 0755) / "none";
  EXPECT_EQ(Why(folder), "the folder of --out " + (folder / "assertion").string() + " is missing: " + folder.string() +
                             " does not exist; make it: mkdir -p -m 700 " + folder.string() + "/");
}

TEST_F(KeptFileTest, AFolderOfTheWorkingDirectoryIsCheckedToo) {
  const auto open = Folder("open", 0777);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(open);
  const auto bare = KeptFile::In("assertion");
  Folder("open/own", 0700);
  const auto below = KeptFile::In("own/assertion");
  std::filesystem::current_path(before);
  EXPECT_FALSE(bare);
  EXPECT_FALSE(below);
}

TEST_F(KeptFileTest, AStickyFolderIsTakenOnlyFromRoot) {
  if (geteuid() != 0) {
    EXPECT_EQ(Why("/tmp"), "");
    EXPECT_NE(Why(Folder("sticky", 01777)).find("sticky is writable by everybody"), std::string::npos);
    return;
  }
  const auto sticky = Folder("sticky", 01777);
  EXPECT_EQ(Why(sticky), "");
  constexpr uid_t kOther = 60001;
  ASSERT_EQ(chown(sticky.c_str(), kOther, kOther), 0);
  EXPECT_NE(Why(sticky).find("sticky belongs to user 60001"), std::string::npos) << Why(sticky);
}

TEST_F(KeptFileTest, AFolderOfAnotherUserIsRefusedEvenByRoot) {
  if (geteuid() != 0) {
    return;  // only root can give a folder away
  }
  constexpr uid_t kOther = 60001;
  const auto folder = Folder("theirs", 0700);
  ASSERT_EQ(chown(folder.c_str(), kOther, kOther), 0);
  EXPECT_NE(Why(folder).find("theirs belongs to user 60001"), std::string::npos) << Why(folder);
  const auto own = Folder("theirs/own", 0700);
  EXPECT_NE(Why(own).find("theirs belongs to user 60001"), std::string::npos) << Why(own);
}

}  // namespace
}  // namespace assertion::cli
