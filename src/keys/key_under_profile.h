#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include "assertion/error.h"
#include "assertion/profile.h"
#include "assertion/template.h"

namespace assertion {

struct SigningKey;

// The texts that a profile takes from a key: the same in every assertion, so made once.
struct KeyUnderProfile {
  std::shared_ptr<const Profile> profile;
  std::string encoded_header;                            // the JOSE header, base64url
  std::array<std::string, kTemplateWords.size()> words;  // by TemplateWord; empty: the key has no such value

  const std::string& ValueOf(TemplateWord word) const { return words.at(static_cast<std::size_t>(word)); }

  // FAILED_PRECONDITION: the profile asks for something that the key does not have.
  static Result<std::shared_ptr<const KeyUnderProfile>> New(const SigningKey& key,
                                                            std::shared_ptr<const Profile> profile);
};

// What the key waits for before it can sign under the profile, for example "a kid in clients[].kids". Empty: nothing.
std::string WaitsFor(const SigningKey& key, const Profile& profile);

// Keeps the texts of a key for each purpose's profile that was asked for last: a reload may change the profile while
// earlier calls are under way. May be used from any thread.
class KeptKeyUnderProfile {
 public:
  KeptKeyUnderProfile() = default;
  KeptKeyUnderProfile(KeptKeyUnderProfile&& other) noexcept {
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      kept_.at(i).store(other.kept_.at(i).load());
    }
  }
  KeptKeyUnderProfile& operator=(KeptKeyUnderProfile&&) = delete;
  KeptKeyUnderProfile(const KeptKeyUnderProfile&) = delete;
  KeptKeyUnderProfile& operator=(const KeptKeyUnderProfile&) = delete;
  ~KeptKeyUnderProfile() = default;

  // As KeyUnderProfile::New.
  Result<std::shared_ptr<const KeyUnderProfile>> Get(const SigningKey& key,
                                                     const std::shared_ptr<const Profile>& profile) const;

 private:
  mutable std::array<std::atomic<std::shared_ptr<const KeyUnderProfile>>, kPurposes.size()> kept_;  // by Purpose
};

}  // namespace assertion
