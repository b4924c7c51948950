#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "counts.h"
#include "personality.h"
#include "rules.h"
#include "traits.h"

namespace faulty_hsm {

// The rule and the traits that hold for one call.
struct Taken {
  std::optional<Rule> rule;
  std::optional<CK_RV> missing;  // the token does not have this function
  CK_RV idle = CKR_SESSION_HANDLE_INVALID;
  bool removed = false;
  bool renumber = false;

  bool Is(std::string_view action) const { return rule && rule->action == action; }
};

// The rules and traits of the control file and the personality, and how often each rule was met.
class Faults {
 public:
  Taken Take(std::string_view function) {
    const std::lock_guard lock(mutex_);
    auto taken = Match(function);
    counts_.Add(function, taken.rule.has_value());
    return taken;
  }

  // The number of sessions that the caller has open.
  long OpenSessions() {
    const std::lock_guard lock(mutex_);
    return sessions_;
  }
  void AddSessions(long more) {
    const std::lock_guard lock(mutex_);
    counts_.SetSessions(sessions_ += more);
  }
  void ForgetSessions() {
    const std::lock_guard lock(mutex_);
    counts_.SetSessions(sessions_ = 0);
  }

  std::shared_ptr<const Traits> traits() {
    const std::lock_guard lock(mutex_);
    Read();
    return traits_;
  }

  // Becomes the token that FAULTY_HSM_PERSONALITY describes.
  void TakePersonality() {
    const std::lock_guard lock(mutex_);
    const char* named = std::getenv("FAULTY_HSM_PERSONALITY");
    const std::string path = named == nullptr ? "" : named;
    if (path == personality_path_) {
      return;  // the rules count on
    }
    personality_path_ = path;
    personality_ = ReadPersonality(path);
    rules_.clear();
    known_ = {};
    traits_ = std::make_shared<const Traits>(personality_);
  }

  bool Has(std::string_view action) {
    const std::lock_guard lock(mutex_);
    Read();
    return HasRead(action);
  }

 private:
  Taken Match(std::string_view function) {
    Read();
    const auto missing = traits_->missing.find(function);
    Taken taken{.rule = {},
                .missing = missing == traits_->missing.end() ? std::nullopt : std::optional(missing->second),
                .idle = traits_->idle,
                .removed = HasRead("removed"),
                .renumber = HasRead("renumber")};
    for (auto& rule : rules_) {
      if (!rule.Fits(function)) {
        continue;
      }
      if (rule.skip > 0) {
        --rule.skip;
        continue;
      }
      if (rule.times > 0) {
        --rule.times;
      }
      taken.rule = rule;
      break;
    }
    return taken;
  }

  bool HasRead(std::string_view action) const {
    return std::ranges::any_of(rules_, [&](const Rule& rule) { return rule.action == action; });
  }

  void Read() {
    const char* path = std::getenv("FAULTY_HSM_CONTROL");
    struct stat now{};
    if (path == nullptr || stat(path, &now) != 0) {
      if (known_.st_ino != 0) {
        rules_.clear();
        traits_ = std::make_shared<const Traits>(personality_);
        known_ = {};
      }
      return;
    }
    if (now.st_ino == known_.st_ino && now.st_mtim.tv_sec == known_.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == known_.st_mtim.tv_nsec) {
      return;
    }
    known_ = now;
    rules_.clear();
    auto traits = personality_;
    std::ifstream file(path);
    int number = 1;
    for (std::string line; std::getline(file, line); ++number) {
      if (line.empty() || line.starts_with('#') || traits.Add(line)) {
        continue;
      }
      if (const auto wrong = Parse(line, rules_.emplace_back())) {
        std::fprintf(stderr, "faulty_hsm: %s:%d: '%s' is not understood\n", path, number, wrong->c_str());
        std::abort();
      }
    }
    traits_ = std::make_shared<const Traits>(std::move(traits));
  }

  std::mutex mutex_;
  struct stat known_{};
  std::vector<Rule> rules_;
  std::string personality_path_;
  Traits personality_;
  std::shared_ptr<const Traits> traits_ = std::make_shared<const Traits>();  // with those of the control file
  long sessions_ = 0;
  Counts counts_;
};

}  // namespace faulty_hsm
