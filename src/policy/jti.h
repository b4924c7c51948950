#pragma once

#include <cstddef>
#include <string>

#include "assertion/error.h"
#include "assertion/profile.h"
#include "assertion/random.h"

namespace assertion {

// A new JWT ID (RFC 7519 section 4.1.7): empty for JtiForm::kNone. `length`: of JtiForm::kHex, at most 64 digits.
Result<std::string> NewJti(JtiForm form, std::size_t length, const Random& random);

}  // namespace assertion
