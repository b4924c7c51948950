// Whatever the configuration file holds: it is read or refused with reasons, and never repeats a PIN's value.

#include <cstdlib>
#include <string_view>

#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = assertion::ParseConfig(text, "/state");
  if (!config && config.error().empty()) {
    std::abort();  // refused without a reason
  }
  if (config) {
    for (const auto& client : config->clients) {
      if (client.client_id.empty() || client.audiences.empty() || client.default_lifetime > client.max_lifetime) {
        std::abort();  // accepted what the contract forbids
      }
      for (const auto& caller : client.callers) {
        if (!caller.starts_with("uid:") && !caller.starts_with("dns:") && !caller.starts_with("spiffe://")) {
          std::abort();  // accepted a caller that nobody can be
        }
      }
    }
  }
  return 0;
}
