// Whatever the ledger holds: it is refused, or read and written again the same; and of its keys two never sign at once.

#include <cstdlib>
#include <string_view>

#include "keys/ledger.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const auto ledger = assertion::ParseLedger({reinterpret_cast<const char*>(data), size});
  if (ledger) {
    const auto again = assertion::ParseLedger(assertion::ToJson(*ledger));
    if (!again || *again != *ledger || !assertion::CheckOrder(ledger->keys)) {
      std::abort();
    }
  }
  return 0;
}
