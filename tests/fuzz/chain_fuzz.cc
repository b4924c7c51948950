// Whatever somebody imports as a certificate chain, or hands over as authorities: it is refused, or every certificate
// in it reads the same again; and verifying it does no harm.

#include <cstdlib>
#include <string_view>

#include "x509/certificate.h"
#include "x509/chain.h"
#include "x509/trust.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace assertion;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto chain = x509::ParseChain(text)) {
    for (const auto& certificate : *chain) {
      const auto again = x509::ParseCertificate(certificate.der);
      if (!again || again->public_key != certificate.public_key) {
        std::abort();
      }
    }
    static_cast<void>(
        x509::VerifyChain(*chain, chain->front().public_key.value_or(PublicKey()), chain->front().not_before));
  }
  if (const auto trust = x509::Trust::Load(text, "")) {
    static_cast<void>(trust->Verify(text));
  }
  return 0;
}
