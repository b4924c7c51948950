#include "x509/regular_file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "assertion/descriptor.h"

namespace assertion::x509 {
namespace {

class RegularFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/regular-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& text) {
    std::ofstream(folder_ / "file") << text;
    return folder_ / "file";
  }

  static std::string WhyNot(const std::string& path) {
    const auto text = ReadRegularFile(path, 100);
    return text ? "it was read" : text.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(RegularFileTest, IsReadToItsLimit) {
  EXPECT_EQ(ReadRegularFile(Write(""), 5), "");
  EXPECT_EQ(ReadRegularFile(Write("12345"), 5), "12345");
  EXPECT_EQ(ReadRegularFile(Write("123456"), 5).error().message, "larger than 0 MiB");
  const std::string large(std::size_t{3} << 20U, 'x');
  EXPECT_EQ(ReadRegularFile(Write(large), large.size()), large);
  EXPECT_EQ(ReadRegularFile(Write(large), large.size() - 1).error().message, "larger than 2 MiB");
}

// Kubernetes' config maps are such.
TEST_F(RegularFileTest, IsFoundThroughASymbolicLink) {
  std::filesystem::create_symlink(Write("x"), folder_ / "link");
  EXPECT_EQ(ReadRegularFile(folder_ / "link", 5), "x");
}

// Each at once: a test that hangs here has failed.
TEST_F(RegularFileTest, NothingElseIsReadOrWaitedFor) {
  ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  (folder_ / "socket").native().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  std::filesystem::create_symlink(folder_ / "fifo", folder_ / "link");

  EXPECT_EQ(WhyNot(folder_ / "fifo"), "cannot be read: it is a FIFO, not a regular file");
  EXPECT_EQ(WhyNot(folder_ / "link"), "cannot be read: it is a FIFO, not a regular file");
  EXPECT_EQ(WhyNot(folder_ / "socket"), "cannot be read: it is a socket, not a regular file");
  EXPECT_EQ(WhyNot(folder_), "cannot be read: it is a folder, not a regular file");
  EXPECT_EQ(WhyNot("/dev/zero"), "cannot be read: it is a device, not a regular file");
  EXPECT_EQ(WhyNot(folder_ / "absent"), "cannot be read: No such file or directory");
}

}  // namespace
}  // namespace assertion::x509
