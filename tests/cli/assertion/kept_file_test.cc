#include "cli/assertion/kept_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
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

  static std::string TextOf(const path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  static void Write(const path& file, const std::string& text, unsigned mode) {
    std::ofstream(file) << text;
    std::filesystem::permissions(file, perms(mode));
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

// Others cannot replace the file there, but take its name while it is removed, and the name beside it that the next
// assertion needs.
TEST_F(KeptFileTest, AStickyFolderMayHoldAFolderButNotTheFile) {
  const auto sticky = Folder("sticky", 01777);
  EXPECT_NE(Why(sticky).find("sticky is writable by everybody"), std::string::npos) << Why(sticky);
  EXPECT_NE(Why(sticky).find(": make a folder in it"), std::string::npos) << Why(sticky);
  EXPECT_EQ(Why(Folder("sticky/own", 0700)), "");
  if (geteuid() == 0) {  // only root can give a folder away
    constexpr uid_t kOther = 60001;
    ASSERT_EQ(chown(sticky.c_str(), kOther, kOther), 0);
    EXPECT_NE(Why(sticky / "own").find("sticky belongs to user 60001"), std::string::npos) << Why(sticky / "own");
  }
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

TEST_F(KeptFileTest, TheFileIsWhereThePathLeadsAfterTheFolderWasMovedOrMadeAnew) {
  const auto folder = Folder("own", 0700);
  auto file = KeptFile::In(folder / "assertion");
  ASSERT_TRUE(file && file->Replace("first"));
  EXPECT_TRUE(file->IsThere());

  const auto moved = home_.directory() / "moved";
  std::filesystem::rename(folder, moved);
  EXPECT_FALSE(file->IsThere());
  EXPECT_FALSE(file->Find());
  EXPECT_EQ(TextOf(moved / "assertion"), "first");
  Folder("own", 0777);
  EXPECT_FALSE(file->Find());  // the checks are those of the start
  Folder("own", 0700);
  ASSERT_TRUE(file->Find());
  EXPECT_TRUE(std::filesystem::is_empty(moved));
  ASSERT_TRUE(file->Replace("second"));
  EXPECT_TRUE(file->IsThere());
  EXPECT_EQ(TextOf(folder / "assertion"), "second");

  std::filesystem::remove_all(folder);
  EXPECT_FALSE(file->IsThere());
  Folder("own", 0700);
  ASSERT_TRUE(file->Find() && file->Replace("third"));
  EXPECT_EQ(TextOf(folder / "assertion"), "third");
  EXPECT_TRUE(file->Remove());
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(KeptFileTest, OneThatIsRemovedOrReplacedIsNotThereAndAnothersIsNotRemoved) {
  const auto path = Folder("own", 0700) / "assertion";
  auto file = KeptFile::In(path);
  ASSERT_TRUE(file && file->Replace("first"));
  std::filesystem::remove(path);
  EXPECT_FALSE(file->IsThere());
  Write(path, "another", 0600);
  EXPECT_FALSE(file->IsThere());
  EXPECT_FALSE(file->Remove());
  EXPECT_EQ(TextOf(path), "another");
}

TEST_F(KeptFileTest, OneThatAnotherKeepsIsRefusedUntilThatEnds) {
  const auto folder = Folder("own", 0700);
  {
    auto first = KeptFile::In(folder / "assertion");
    ASSERT_TRUE(first && first->Replace("e30.e30.AA"));
    EXPECT_EQ(Why(folder),
              "another assertionctl keeps --out " + (folder / "assertion").string() + ": name another file");
    EXPECT_TRUE(KeptFile::In(folder / "beside"));
    EXPECT_TRUE(first->Find());
  }
  EXPECT_EQ(Why(folder), "");  // as after a run that was killed
}

TEST_F(KeptFileTest, NothingIsOverwrittenButWhatAnEarlierRunMayHaveLeft) {
  const auto folder = Folder("own", 0700);
  const auto file = folder / "assertion";
  const auto is_taken = [&] {
    const auto why = Why(folder);
    EXPECT_TRUE(why.empty() || why.contains(" is there already, and is no assertion of mode 0600")) << why;
    std::filesystem::remove(file);
    return why.empty();
  };
  Write(file, "e30.e30.AA", 0600);
  EXPECT_TRUE(is_taken());
  Write(file, "", 0600);
  EXPECT_TRUE(is_taken());
  Write(file, "e30.e30.AA", 0644);
  EXPECT_FALSE(is_taken());
  Write(file, "-----BEGIN PRIVATE KEY-----", 0600);
  EXPECT_FALSE(is_taken());
  Write(folder / "other", "e30.e30.AA", 0600);
  std::filesystem::create_symlink("other", file);
  EXPECT_FALSE(is_taken());
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_FALSE(is_taken());
  std::filesystem::create_directory(file);
  EXPECT_FALSE(is_taken());
}

}  // namespace
}  // namespace assertion::cli
