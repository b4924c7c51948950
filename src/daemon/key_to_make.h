#pragma once

#include <string_view>

#include "assertion/token.h"

namespace assertion {

// Logs that the next step makes assertiond's own key with the CKA_LABEL `label`, if the token has none: that takes up
// to a minute on a slow token. `use` says what the key is for, for example "signs the ledger".
void LogKeyToMake(Token& token, std::string_view token_label, std::string_view label, std::string_view use);

}  // namespace assertion
