#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "audit/log.h"
#include "audit/verification.h"
#include "audit_signer.h"

namespace assertion::audit {

// A folder for audit logs, and a key in software that signs their checkpoints.
class LogFixture : public testing::Test {
 protected:
  LogFixture() {
    std::string folder = testing::TempDir() + "audit.XXXXXX";
    folder_ = mkdtemp(folder.data());
  }
  ~LogFixture() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ / "audit.log"; }

  Result<std::unique_ptr<Log>> Open(LogOptions options = {}, Log::OnState on_state = {},
                                    Log::OnRotation on_rotation = {}) {
    options.path = options.path.empty() ? path() : options.path;
    return Log::Open(std::move(options), {signer_.signer()}, signer_.keys(), std::move(on_state),
                     std::move(on_rotation));
  }

  static Event Named(const std::string& jti) {
    Event event;
    event.name = "CreateAssertion";
    event.jti = jti;
    event.outcome = "OK";
    return event;
  }

  // Records an event and waits until it is durable, or refused.
  static Status Record(Log& log, const std::string& jti) {
    std::promise<Status> done;
    log.Record(Named(jti), [&](const Status& status) { done.set_value(status); });
    return done.get_future().get();
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (!entry.path().string().ends_with(".lock") && !entry.path().string().ends_with(".torn")) {
        files.push_back(entry.path());
      }
    }
    return files;
  }

  Verification Verified(const Extent& extent = {}) const {
    std::vector<std::unique_ptr<std::ifstream>> streams;
    std::vector<Source> sources;
    for (const auto& file : Files()) {
      streams.push_back(std::make_unique<std::ifstream>(file));
      sources.push_back({.name = file, .stream = streams.back().get()});
    }
    return Verify(std::move(sources), signer_.keys(), extent);
  }

  void ExpectProven() const {
    const auto found = Verified();
    EXPECT_FALSE(found.fault) << found.fault->file << ":" << found.fault->line << ": " << found.fault->text;
    EXPECT_EQ(found.proven, found.last);
  }

  std::string Read(const std::string& file) const {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  void Append(const std::string& text) const { std::ofstream(path(), std::ios::app | std::ios::binary) << text; }

  std::filesystem::path folder_;
  SoftwareSigner signer_;
};

}  // namespace assertion::audit
