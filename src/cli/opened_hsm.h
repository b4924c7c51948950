#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "assertion/error.h"
#include "config/config.h"
#include "p11/hsm_token.h"
#include "p11/modules.h"
#include "x509/certifier.h"

namespace assertion::cli {

// One of the configured HSMs, logged in, and a certifier that signs with its keys.
struct OpenedHsm {
  std::unique_ptr<p11::HsmToken> token;
  std::unique_ptr<x509::Certifier> certifier;
};

// Called after each step, with its name and what it found or why it failed.
using OnStep = std::function<void(const char* step, const Result<std::string>& found)>;

// Opens an HSM for verbs that need no server: module, token, login (one attempt, under the server's rules), OpenSSL's
// provider. Stops at the first step that fails.
Result<OpenedHsm> OpenHsm(const Config& config, std::size_t rank, p11::Modules& modules, const OnStep& on_step);

}  // namespace assertion::cli
