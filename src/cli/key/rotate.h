#pragma once

#include <optional>
#include <string>

#include "assertion/clock.h"
#include "cli/key/change.h"
#include "cli/key/flags.h"
#include "cli/wso2/flags.h"
#include "oauth/token_request.h"

namespace assertion::cli {

// Options of `key rotate --publish`.
struct PublishFlags {
  std::string server;    // "": no identity server is told
  std::string kid;       // of a key to go on with; "": a new one
  std::string audience;  // of the trial
  Wso2Flags wso2;
  oauth::TokenRequest token;
};

struct RotateKeyOptions {
  std::string client_id;
  std::string hsm;
  NewKeyFlags new_key;
  std::optional<Time> sign_from;
  ChangeFlags change;
  PublishFlags publish;
  bool json = false;
};

}  // namespace assertion::cli
