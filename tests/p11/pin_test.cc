#include "p11/pin.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "p11/private_file.h"
#include "softhsm.h"

namespace assertion::p11 {
namespace {

class PinTest : public testing::Test {
 protected:
  void ExpectError(const std::string& path, Code code) {
    const auto pin = Pin::ReadFile(path);
    ASSERT_FALSE(pin) << path;
    EXPECT_EQ(pin.error().code, code);
  }

  SoftHsm hsm_;
};

TEST_F(PinTest, ReadsOneLine) {
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("a", "1234")));
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("b", "1234\n")));
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("c", std::string(255, '1') + "\n")));
  EXPECT_TRUE(Pin::ReadFile(hsm_.Write("d", "1234\n", 0400)));
}

TEST_F(PinTest, ReadsADescriptorOnceAndClosesIt) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(write(ends[1], "1234\n", 5), 5);
  close(ends[1]);
  const auto path = "/dev/fd/" + std::to_string(ends[0]);
  EXPECT_TRUE(Pin::ReadFile(path));
  EXPECT_EQ(fcntl(ends[0], F_GETFD), -1);
  ExpectError(path, Code::kPinUnreadable);
  ExpectError("/dev/fd/0", Code::kPinUnreadable);
  ExpectError("/dev/fd/", Code::kPinUnreadable);
  ExpectError("/dev/fd/99999", Code::kPinUnreadable);
}

TEST_F(PinTest, ShieldsTheProcessThatReadsIt) {
  prctl(PR_SET_DUMPABLE, 1);
  ASSERT_TRUE(Pin::ReadFile(hsm_.pin_file()));
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
  rlimit core{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &core), 0);
  EXPECT_EQ(core.rlim_cur, 0U);
  EXPECT_EQ(core.rlim_max, 0U);
}

TEST_F(PinTest, RefusesWhatIsNotOneLine) {
  ExpectError(hsm_.Write("a", ""), Code::kPinUnreadable);
  ExpectError(hsm_.Write("b", "\n"), Code::kPinUnreadable);
  ExpectError(hsm_.Write("c", "1\n2\n"), Code::kPinUnreadable);
  ExpectError(hsm_.Write("d", std::string(257, '1')), Code::kPinUnreadable);
  ExpectError(hsm_.directory(), Code::kPinUnreadable);
  ExpectError(hsm_.directory() / "absent", Code::kPinUnreadable);
}

TEST_F(PinTest, RefusesAFileThatOthersCanOpen) {
  for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0644U, 0666U}) {
    ExpectError(hsm_.Write("pin" + std::to_string(mode), "1234", mode), Code::kPinExposed);
  }
}

// --check-config may run as another user than the service.
TEST_F(PinTest, TellsAFileThatIsOpenWhoeverStarts) {
  for (const unsigned mode : {0604U, 0620U, 0602U, 0644U, 0660U, 0666U}) {
    EXPECT_TRUE(IsOpenToOthers(hsm_.Write("pin" + std::to_string(mode), "1234", mode))) << mode;
  }
  EXPECT_FALSE(IsOpenToOthers(hsm_.Write("own", "1234", 0600)));
  EXPECT_FALSE(IsOpenToOthers(hsm_.directory() / "absent"));
  EXPECT_FALSE(IsOpenToOthers(hsm_.directory()));
  // The service's group may read one of root.
  EXPECT_EQ(IsOpenToOthers(hsm_.Write("group", "1234", 0640)), geteuid() != 0);
}

// systemd sets such a list for a service's user; the mode's group bits are then the list's mask. The list is a version
// and then entries of tag, permissions and user or group number, all little endian (acl(5), Linux's xattr).
TEST_F(PinTest, ReadsWhatAnAccessControlListOpensToThisUserAlone) {
  struct Entry {
    std::uint16_t tag;
    std::uint16_t permissions;
    std::uint32_t id;
  };
  constexpr std::uint16_t kOwner = 0x01, kUser = 0x02, kGroup = 0x04, kNamedGroup = 0x08, kMask = 0x10, kOthers = 0x20;
  constexpr std::uint32_t kNobody = 0xffffffff;
  const auto file = hsm_.Write("pin", "1234", 0400);
  const auto open_to = [&](std::vector<Entry> more, std::uint16_t group) {
    std::vector<Entry> entries = {
        {kOwner, 4, kNobody}, {kGroup, group, kNobody}, {kMask, 4, kNobody}, {kOthers, 0, kNobody}};
    entries.insert(entries.begin() + (more.empty() || more[0].tag == kUser ? 1 : 2), more.begin(), more.end());
    std::string list("\x02\0\0\0", 4);
    list.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(Entry));
    ASSERT_EQ(setxattr(file.c_str(), "system.posix_acl_access", list.data(), list.size(), 0), 0)
        << std::strerror(errno);
    struct stat info{};
    ASSERT_EQ(stat(file.c_str(), &info), 0);
    ASSERT_EQ(info.st_mode & 0777U, 0440U);
  };
  open_to({{kUser, 4, geteuid()}}, 0);
  EXPECT_TRUE(Pin::ReadFile(file));
  EXPECT_FALSE(IsOpenToOthers(file));
  open_to({{kUser, 4, geteuid()}, {kUser, 4, geteuid() + 1}}, 0);
  ExpectError(file, Code::kPinExposed);
  open_to({{kNamedGroup, 4, getegid() + 1}}, 0);
  ExpectError(file, Code::kPinExposed);
  open_to({}, 4);
  ExpectError(file, Code::kPinExposed);
}

TEST_F(PinTest, DropsOneFinalLineFeedAndNothingElse) {
  const auto digest = [&](const char* content) { return Pin::ReadFile(hsm_.Write("a", content))->Digest(Bytes{1}); };
  EXPECT_EQ(digest("1234"), digest("1234\n"));
  EXPECT_NE(digest("1234"), digest("1234\r\n"));
  EXPECT_NE(digest("1234"), digest("1234 "));
}

}  // namespace
}  // namespace assertion::p11
