#include "keys/file_ledger.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "assertion/descriptor.h"
#include "keys/own_key.h"
#include "replica.h"
#include "softhsm.h"

namespace assertion {
namespace {

// As older versions wrote it.
constexpr const char* kUnsigned =
    R"({"client_id":"orders","version":7,"keys":[{"kid":"k1","alg":"RS256","cka_id":"0aff","x5t#S256":["t1","t2"],)"
    R"("publish_from":1,"sign_from":2,"sign_until":3,"publish_until":253402300799}],)"
    R"("requests":[{"id":"r","digest":"d","kid":"k1"}]})";

class FileLedgerTest : public testing::Test {
 protected:
  FileLedgerTest() { std::filesystem::create_directory(folder_); }

  FileLedger Open() { return {hsm_.token(), path_, RandomOctets}; }

  void Write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
  }
  std::string Read() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // What makes the file unusable, for the log.
  std::string Reason() {
    const auto read = Open().Read();
    EXPECT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::kLedgerUnusable);
    return read.error().detail;
  }
  static ClientLedger Next(const Ledger::Hold& hold) {
    auto next = *ParseUnsignedLedger(kUnsigned);
    next.client_id = hold.current().client_id;
    next.version = hold.current().version + 1;
    return next;
  }
  void Change(const std::string& client_id) {
    auto ledger = Open();
    const auto hold = ledger.Take(client_id);
    ASSERT_TRUE(hold) << hold.error().ToString();
    ASSERT_TRUE((*hold)->Commit(Next(**hold)));
  }
  std::int64_t VersionOf(const std::string& client_id) {
    const auto contents = Open().Read();
    EXPECT_TRUE(contents) << contents.error().ToString();
    const auto found = contents->ledgers.find(client_id);
    return found == contents->ledgers.end() ? 0 : found->second.version;
  }

  LoggedInSoftHsm hsm_;
  std::filesystem::path folder_ = hsm_.directory() / "ledger";
  std::filesystem::path path_ = folder_ / "ledger.json";
};

TEST_F(FileLedgerTest, KeepsEveryClientsLedger) {
  EXPECT_TRUE(Open().Read()->ledgers.empty());
  for (const char* client : {"orders", "billing", "orders"}) {
    Change(client);
  }
  EXPECT_EQ(VersionOf("orders"), 2);
  EXPECT_EQ(VersionOf("billing"), 1);
  EXPECT_EQ(nlohmann::json::parse(Read())["clients"].size(), 2U);
  struct stat info{};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(FileLedgerTest, WhatACrashLeftBesideItChangesNothing) {
  std::ofstream(path_.string() + ".new") << "{\"clients\":[{\"client";
  Change("orders");
  EXPECT_EQ(VersionOf("orders"), 1);
}

TEST_F(FileLedgerTest, AnotherHolderIsAborted) {
  auto ledger = Open();
  const auto hold = *ledger.Take("orders");
  const auto other = Open().Take("billing");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kAborted);
}

TEST_F(FileLedgerTest, TheBrakeGoesBeforeAChangeOfItsOwnProcess) {
  auto ledger = Open();
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
  EXPECT_EQ(VersionOf("orders"), 1);
  EXPECT_EQ(VersionOf("billing"), 1) << "each commit keeps what others changed";
}

TEST_F(FileLedgerTest, TheBrakeIsToldThatAnotherProcessHoldsTheFile) {
  ASSERT_TRUE(Open().TakeOver());  // makes the ledger's key, which takes its time on a busy machine
  const Descriptor held(open((path_.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(flock(held.get(), LOCK_EX | LOCK_NB), 0);
  auto ledger = Open();
  const auto began = std::chrono::steady_clock::now();
  const auto brake = ledger.Take("orders", kBrake);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  ASSERT_FALSE(brake);
  EXPECT_EQ(brake.error().code, Code::kAborted);
  EXPECT_NE(brake.error().message.find("cannot be broken"), std::string::npos) << brake.error().message;
}

TEST_F(FileLedgerTest, ALockThatOthersCouldHoldIsRefused) {
  std::ofstream(path_.string() + ".lock") << "";
  chmod((path_.string() + ".lock").c_str(), 0666);
  auto ledger = Open();
  const auto hold = ledger.Take("orders");
  ASSERT_FALSE(hold);
  EXPECT_EQ(hold.error().code, Code::kLedgerUnusable);
  EXPECT_NE(hold.error().detail.find("chmod 600"), std::string::npos) << hold.error().detail;
}

TEST_F(FileLedgerTest, AFailedChangeLeavesTheFileAsItWas) {
  Change("orders");
  const auto before = Read();
  auto ledger = Open();
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
  Write(R"({"clients":["a"],"clients":[]})");
  contains(Reason(), "is there twice");
  Write(R"({"version":3,"clients":[]})");
  contains(Reason(), "another version");
  Write(R"({"clients":[]})", 0620);
  contains(Reason(), "others may write it");
  Write(R"({"clients":[]})", 0600);
  EXPECT_TRUE(Open().Read());
  std::filesystem::rename(path_, folder_ / "elsewhere");
  std::filesystem::create_symlink(folder_ / "elsewhere", path_);
  contains(Reason(), "symbolic link");
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  contains(Reason(), "is not a file");
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  contains(Reason(), "is not a file");  // and is not waited for
}

TEST_F(FileLedgerTest, OneBadEntryIsAStrayAndStays) {
  Change("orders");
  Change("billing");
  auto file = nlohmann::json::parse(Read());
  const auto good = file["clients"][1].get<std::string>();
  auto bad = file["clients"][0].get<std::string>();
  bad[bad.size() / 2] = bad[bad.size() / 2] == 'A' ? 'B' : 'A';
  file["clients"] = {bad, good, 7, nlohmann::json::parse(kUnsigned)};
  Write(file.dump());
  const auto contents = *Open().Read();
  EXPECT_EQ(contents.ledgers.size(), 1U);
  EXPECT_TRUE(contents.errors.empty());
  ASSERT_EQ(contents.strays.size(), 3U);
  EXPECT_EQ(contents.strays.front(), (StrayText{.name = "entry 1", .reason = "its signature is bad"}));
  EXPECT_EQ(contents.strays.back().reason, "it is not signed");
  Change(contents.ledgers.begin()->first);
  const auto after = nlohmann::json::parse(Read())["clients"];
  EXPECT_EQ(after.size(), 4U);
  EXPECT_EQ(after[0], bad);
  EXPECT_EQ(VersionOf(contents.ledgers.begin()->first), 2);
}

TEST_F(FileLedgerTest, OfOneClientsEntriesTheNewestCountsAndTwoThatDifferNone) {
  Change("orders");
  const auto first = nlohmann::json::parse(Read())["clients"][0];
  Change("orders");
  const auto second = nlohmann::json::parse(Read())["clients"][0];
  Write(nlohmann::json{{"clients", {second, first}}}.dump());
  EXPECT_EQ(VersionOf("orders"), 2);
  auto other = *ParseUnsignedLedger(kUnsigned);
  other.version = 2;
  other.keys.clear();
  LedgerSeal seal(hsm_.token(), RandomOctets);
  Change("billing");
  Write(nlohmann::json{{"clients", {second, *seal.Write(other), nlohmann::json::parse(Read())["clients"][2]}}}.dump());
  const auto contents = *Open().Read();
  EXPECT_TRUE(contents.errors.contains("orders"));
  EXPECT_TRUE(contents.ledgers.contains("billing"));
  auto ledger = Open();
  EXPECT_EQ(ledger.Take("orders").error().code, Code::kLedgerUnusable);
}

TEST_F(FileLedgerTest, TheFirstStartTakesOverWhatIsUnsignedAndNoLaterOne) {
  const auto old = R"({"clients":[)" + std::string(kUnsigned) + "]}";
  Write(old);
  const auto done = Open().TakeOver();
  ASSERT_TRUE(done) << done.error().ToString();
  EXPECT_EQ(done->clients, std::vector<std::string>{"orders"});
  EXPECT_EQ(VersionOf("orders"), 7);
  EXPECT_EQ(Read().find("client_id"), std::string::npos);
  Change("orders");
  EXPECT_EQ(VersionOf("orders"), 8);
  // Somebody who may write the file, and has no PIN, puts the old one back.
  Write(old);
  EXPECT_TRUE(Open().TakeOver()->clients.empty());
  EXPECT_EQ(VersionOf("orders"), 0);
  EXPECT_EQ(Open().Read()->strays.size(), 1U);
}

TEST_F(FileLedgerTest, AFirstStartWithoutAnythingEndsTheTimeOfUnsignedState) {
  EXPECT_TRUE(Open().TakeOver()->clients.empty());
  Write(R"({"clients":[)" + std::string(kUnsigned) + "]}");
  EXPECT_TRUE(Open().TakeOver()->clients.empty());
  EXPECT_EQ(VersionOf("orders"), 0);
  EXPECT_TRUE(FindOwnKeys(hsm_.token(), kTakeoverKeyLabel)->empty());
}

}  // namespace
}  // namespace assertion
