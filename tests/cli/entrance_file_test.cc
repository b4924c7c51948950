#include "cli/entrance_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "softhsm.h"

namespace assertion::cli {
namespace {

class EntranceFileTest : public testing::Test {
 protected:
  // The folder of the file that is written while $XDG_RUNTIME_DIR is this.
  static std::string FolderWith(const std::string& runtime) {
    setenv("XDG_RUNTIME_DIR", runtime.c_str(), 1);
    const auto file = EntranceFile::Write("http://127.0.0.1/");
    unsetenv("XDG_RUNTIME_DIR");
    constexpr std::size_t kScheme = 7;  // of "file://"
    if (!file) {
      return file.error().ToString();
    }
    const auto path = file->url().substr(kScheme);
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0600U);
    return std::filesystem::path(path).parent_path();
  }

  std::string Folder(const std::string& name, unsigned mode) const {
    const auto folder = home_.directory() / name;
    std::filesystem::create_directories(folder);
    std::filesystem::permissions(folder, std::filesystem::perms(mode));
    return folder;
  }

  const SoftHsm home_;  // for its folder, which belongs to this user
};

// Another user would have the browser open a page of his own, and keep the address.
TEST_F(EntranceFileTest, ARuntimeFolderThatOthersMayWriteIsNotUsed) {
  const auto own = Folder("own", 0700);
  EXPECT_EQ(FolderWith(own), own);
  EXPECT_EQ(FolderWith(Folder("open", 0777)), "/tmp");
  EXPECT_EQ(FolderWith(Folder("group", 0770)), "/tmp");
  EXPECT_EQ(FolderWith(Folder("open/own", 0700)), "/tmp");
  EXPECT_EQ(FolderWith("run"), "/tmp");
  EXPECT_EQ(FolderWith("/no/such/folder"), "/tmp");
  if (geteuid() == 0) {  // only root can give a folder away
    EXPECT_EQ(chown(own.c_str(), 60001, 60001), 0);
    EXPECT_EQ(FolderWith(own), "/tmp");
  }
}

}  // namespace
}  // namespace assertion::cli
