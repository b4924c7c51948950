#include "daemon/own_acts.h"

#include <filesystem>
#include <semaphore>

#include "audit/log_fixture.h"

namespace assertion {
namespace {

class OwnActsTest : public audit::LogFixture {
 protected:
  static audit::Event Act(const std::string& name) {
    audit::Event event;
    event.name = name;
    event.outcome = "OK";
    return event;
  }

  void Break() {
    std::filesystem::remove(path());
    ASSERT_FALSE(LogFixture::Record(*log_, "lost"));
  }

  void Mend() {
    log_->Reopen();  // a new file
    mended_.acquire();
  }

  // What the log holds once it is closed.
  std::string Text() {
    acts_.ForgetLog();
    log_.reset();
    return Read(path());
  }

  std::binary_semaphore mended_{0};
  OwnActs acts_;
  std::unique_ptr<audit::Log> log_ = *Open({}, [this](const Status& state) {
    if (state) {
      acts_.RecordKept();
      mended_.release();
    }
  });
};

TEST_F(OwnActsTest, WhatTheLogDidNotTakeIsRecordedOnceItCanBe) {
  acts_.SetLog(log_.get());
  Break();
  acts_.Record(Act("Reload"));
  Mend();
  acts_.Record(Act("Stop"));
  const auto text = Text();
  const auto reload = text.find("\"event\":\"Reload\"");
  ASSERT_NE(reload, std::string::npos) << text;
  EXPECT_NE(text.find("\"count\":1,\"since\":\""), std::string::npos) << "the time of the act is lost";
  EXPECT_LT(reload, text.find("\"event\":\"Stop\"")) << text;
  EXPECT_EQ(text.find("\"event\":\"Reload\"", reload + 1), std::string::npos) << "it is recorded twice";
}

TEST_F(OwnActsTest, WhatIsKeptIsBounded) {
  acts_.SetLog(log_.get());
  Break();
  for (std::size_t act = 0; act <= OwnActs::kMostKept; ++act) {
    acts_.Record(Act("Reload" + std::to_string(act)));
  }
  Mend();
  const auto text = Text();
  EXPECT_EQ(text.find("\"Reload0\""), std::string::npos);
  EXPECT_NE(text.find("\"Reload1\""), std::string::npos);
  EXPECT_NE(text.find("\"Reload" + std::to_string(OwnActs::kMostKept) + "\""), std::string::npos);
}

}  // namespace
}  // namespace assertion
