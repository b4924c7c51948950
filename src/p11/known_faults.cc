#include "p11/known_faults.h"

#include "assertion/real_file_name.h"

namespace assertion::p11 {
namespace {

// Version 0.24 wakes only one of the threads that wait for an answer when the connection is lost; the others hang. It
// runs no calls in parallel, so this costs nothing.
constexpr KnownFaults kP11KitClient = {.one_call_at_a_time = true};

// Versions up to 1.9.2 take no lock in C_OpenSession and C_CloseSession: two threads get the same session, or the
// process crashes. It runs no calls in parallel. spoils_handles: seen with 1.9.0.
constexpr KnownFaults kTpm2Pkcs11 = {.one_call_at_a_time = true, .spoils_handles = true};

// Version 3.8.1 guards its lists of objects with flock on one descriptor, which does not hold back threads of one
// process: a search beside a generation, or beside another search, adds the new key twice or ends in a crash. An RSA
// key may take seconds.
constexpr KnownFaults kOpenCryptoki = {.one_search_at_a_time = true, .patience = std::chrono::seconds(30)};

}  // namespace

KnownFaults KnownFaultsOf(const std::string& path) {
  const auto file = RealFileName(path);
  return file == "p11-kit-client.so"              ? kP11KitClient
         : file.starts_with("libtpm2_pkcs11.so")  ? kTpm2Pkcs11
         : file.starts_with("libopencryptoki.so") ? kOpenCryptoki
                                                  : KnownFaults{};
}

bool IsSoftHsmBehind(const std::string& path, std::string_view manufacturer) {
  return manufacturer.starts_with("SoftHSM") && !RealFileName(path).starts_with("libsofthsm2");
}

}  // namespace assertion::p11
