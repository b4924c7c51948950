#include "keys/ledger.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "assertion/descriptor.h"
#include "keys/file_ledger.h"

namespace assertion {
namespace {

using std::chrono::seconds;

constexpr const char* kLedger =
    R"({"client_id":"orders","version":7,"keys":[{"kid":"k1","alg":"RS256","cka_id":"0aff","x5t#S256":["t1","t2"],)"
    R"("publish_from":1,"sign_from":2,"sign_until":3,"publish_until":253402300799}],)"
    R"("requests":[{"id":"r","digest":"d","kid":"k1"}]})";

std::string With(const std::string& from, const std::string& to) {
  std::string text = kLedger;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Ledger, IsReadAsItWasWritten) {
  const auto ledger = ParseLedger(kLedger);
  ASSERT_TRUE(ledger) << ledger.error().message;
  EXPECT_EQ(ledger->client_id, "orders");
  EXPECT_EQ(ledger->version, 7);
  ASSERT_EQ(ledger->keys.size(), 1U);
  const auto& key = ledger->keys.front();
  EXPECT_EQ(key.id, (Bytes{0x0A, 0xFF}));
  EXPECT_EQ(key.certificates, (std::vector<std::string>{"t1", "t2"}));
  EXPECT_EQ(key.sign_until, Time(seconds(3)));
  EXPECT_EQ(key.publish_until, kNever);
  EXPECT_EQ(ToJson(*ledger), kLedger);
  EXPECT_EQ(ParseLedger(ToJson(*ledger)), *ledger);
}

struct Broken {
  const char* from;
  const char* to;
  const char* why;
};

class BrokenLedger : public testing::TestWithParam<Broken> {};

TEST_P(BrokenLedger, IsUnusable) {
  const auto& [from, to, why] = GetParam();
  const auto ledger = ParseLedger(With(from, to));
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, Code::kLedgerUnusable);
  EXPECT_NE(ledger.error().message.find(why), std::string::npos) << ledger.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Ledger, BrokenLedger,
    testing::Values(Broken{"}]}", "}]", "not JSON"}, Broken{"\"orders\"", "\"or\xFF\"", "not JSON"},
                    Broken{R"("version":7)", R"("version":7,"version":7)", "twice"},
                    Broken{R"("kid":"k1","alg")", R"("kid":"k1","kid":"k1","alg")", "twice"},
                    Broken{R"("version":7)", R"("version":7,"x":1)", "unknown member"},
                    Broken{R"("version":7,)", "", "version"}, Broken{R"("version":7)", R"("version":-7)", "version"},
                    Broken{R"("version":7)", R"("version":7.5)", "version"},
                    Broken{R"("version":7)", R"("version":"7")", "version"},
                    Broken{R"("version":7)", R"("version":99999999999999999)", "version"},
                    Broken{R"("orders")", "1", "client_id"}, Broken{R"("RS256")", R"("none")", "alg"},
                    Broken{R"("0aff")", R"("0AFF")", "cka_id"}, Broken{R"("0aff")", R"("0af")", "cka_id"},
                    Broken{R"("0aff")", R"("")", "cka_id"}, Broken{R"(["t1","t2"])", "[1]", "x5t#S256"},
                    Broken{"253402300799", "253402300800", "publish_until"},
                    Broken{R"("sign_from":2)", R"("sign_from":4)", ""},
                    Broken{R"({"kid":"k1","alg")", R"(7,{"kid":"k1","alg")", "a key's an object"},
                    Broken{R"([{"id":"r")", R"([[],{"id":"r")", "a request's an object"},
                    Broken{R"("digest":"d",)", "", "a request's digest"}));

TEST(Ledger, NoKeyStandsThereTwiceAndNoTwoSignAtOnce) {
  auto ledger = *ParseLedger(kLedger);
  auto other = ledger.keys.front();
  other.kid = "k2";
  ledger.keys.push_back(other);
  EXPECT_FALSE(ParseLedger(ToJson(ledger)));  // one CKA_ID
  ledger.keys.back().id = {1};
  EXPECT_FALSE(ParseLedger(ToJson(ledger)));  // both sign at second 2
  ledger.keys.back().sign_from = Time(seconds(3));
  ledger.keys.back().sign_until = Time(seconds(9));
  EXPECT_TRUE(ParseLedger(ToJson(ledger)));
  ledger.keys.back().kid = "k1";
  EXPECT_FALSE(ParseLedger(ToJson(ledger)));
}

class FileLedgerTest : public testing::Test {
 protected:
  FileLedgerTest() {
    auto name = (std::filesystem::temp_directory_path() / "assertion-test-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    path_ = folder_ / "ledger.json";
  }
  ~FileLedgerTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
  }
  std::string Read() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // What makes the file unusable, for the log.
  std::string Reason() const {
    const auto read = FileLedger(path_).Read();
    EXPECT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::kLedgerUnusable);
    return read.error().detail;
  }
  static ClientLedger Next(const Ledger::Hold& hold) {
    auto next = *ParseLedger(kLedger);
    next.client_id = hold.current().client_id;
    next.version = hold.current().version + 1;
    return next;
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(FileLedgerTest, KeepsEveryClientsLedger) {
  FileLedger ledger(path_);
  EXPECT_TRUE(ledger.Read()->empty());
  for (const char* client : {"orders", "billing", "orders"}) {
    const auto hold = *ledger.Take(client);
    EXPECT_TRUE(hold->Commit(Next(*hold)));
  }
  const auto all = *FileLedger(path_).Read();
  EXPECT_EQ(all.at("orders").version, 2);
  EXPECT_EQ(all.at("billing").version, 1);
  struct stat info{};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(FileLedgerTest, WhatACrashLeftBesideItChangesNothing) {
  std::ofstream(path_.string() + ".new") << "{\"clients\":[{\"client";
  FileLedger ledger(path_);
  {
    const auto hold = *ledger.Take("orders");
    EXPECT_EQ(hold->current().version, 0);
    EXPECT_TRUE(hold->Commit(Next(*hold)));
  }
  EXPECT_EQ(ledger.Read()->at("orders").version, 1);
}

TEST_F(FileLedgerTest, AnotherHolderIsAborted) {
  FileLedger ledger(path_);
  const auto hold = *ledger.Take("orders");
  const auto other = FileLedger(path_).Take("billing");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kAborted);
}

TEST_F(FileLedgerTest, TheBrakeGoesBeforeAChangeOfItsOwnProcess) {
  FileLedger ledger(path_);
  const auto hold = *ledger.Take("orders");
  const auto billing = *ledger.Take("billing", kBrake);
  {
    const auto brake = *ledger.Take("orders", kBrake);
    ASSERT_TRUE(brake->Commit(Next(*brake)));
  }
  ASSERT_TRUE(billing->Commit(Next(*billing)));
  const auto late = hold->Commit(Next(*hold));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kAborted);
  const auto all = *ledger.Read();
  EXPECT_EQ(all.at("orders").version, 1);
  EXPECT_EQ(all.at("billing").version, 1) << "each commit keeps what others changed";
}

TEST_F(FileLedgerTest, TheBrakeIsToldThatAnotherProcessHoldsTheFile) {
  const Descriptor held(open((path_.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(flock(held.get(), LOCK_EX | LOCK_NB), 0);
  const auto began = std::chrono::steady_clock::now();
  const auto brake = FileLedger(path_).Take("orders", kBrake);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  ASSERT_FALSE(brake);
  EXPECT_EQ(brake.error().code, Code::kAborted);
  EXPECT_NE(brake.error().message.find("cannot be broken"), std::string::npos) << brake.error().message;
}

TEST_F(FileLedgerTest, ALockThatOthersCouldHoldIsRefused) {
  std::ofstream(path_.string() + ".lock") << "";
  chmod((path_.string() + ".lock").c_str(), 0666);
  const auto hold = FileLedger(path_).Take("orders");
  ASSERT_FALSE(hold);
  EXPECT_EQ(hold.error().code, Code::kLedgerUnusable);
  EXPECT_NE(hold.error().detail.find("chmod 600"), std::string::npos) << hold.error().detail;
}

TEST_F(FileLedgerTest, AFailedChangeLeavesTheFileAsItWas) {
  FileLedger ledger(path_);
  {
    const auto hold = *ledger.Take("orders");
    ASSERT_TRUE(hold->Commit(Next(*hold)));
  }
  const auto before = Read();
  const auto hold = *ledger.Take("orders");
  std::filesystem::create_directory(path_.string() + ".new");  // in the way
  EXPECT_FALSE(hold->Commit(Next(*hold)));
  EXPECT_EQ(Read(), before);
}

TEST_F(FileLedgerTest, SaysWhatMakesAFileUnusable) {
  const auto contains = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  Write("");
  contains(Reason(), "not JSON");  // a file that was cut off is not one without keys
  Write(R"({"clients":[],"more":1})");
  contains(Reason(), "unknown member");
  Write(R"({})");
  contains(Reason(), "clients");
  Write(R"({"clients":[)" + std::string(kLedger) + R"(],"clients":[]})");
  contains(Reason(), "stands there twice");
  Write(R"({"clients":[)" + With(R"("version":7)", R"("version":7,"version":3)") + "]}");
  contains(Reason(), "stands there twice");
  Write(R"({"clients":[)" + std::string(kLedger) + "," + kLedger + "]}");
  contains(Reason(), "client 'orders' stands there twice");
  Write(R"({"clients":[7]})");
  contains(Reason(), "an object");
  Write(R"({"clients":[]})", 0620);
  contains(Reason(), "others may write it");
  Write(R"({"clients":[]})", 0600);
  EXPECT_TRUE(FileLedger(path_).Read());
  std::filesystem::rename(path_, folder_ / "elsewhere");
  std::filesystem::create_symlink(folder_ / "elsewhere", path_);
  contains(Reason(), "symbolic link");
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  contains(Reason(), "is not a file");
}

}  // namespace
}  // namespace assertion
