#pragma once

#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/v1/key_admin.pb.h"

namespace assertion::cli {

// Something that happened to a key between two answers of ListKeys.
struct KeyChange {
  std::string what;  // for example "signing", "revoked", "certificate stored"
  v1::Key key;       // as it is now; as it was, if it is gone
};

// What happened from `before` to `now_listed`, in the order of the keys. A key that was not listed before, and one that
// is gone, is a change, too. A key that was withdrawn ahead of its schedule was revoked.
std::vector<KeyChange> KeyChanges(const v1::ListKeysResponse& before, const v1::ListKeysResponse& now_listed, Time now);

}  // namespace assertion::cli
