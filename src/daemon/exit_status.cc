#include "daemon/exit_status.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace assertion {
namespace {

struct Meaning {
  int status;
  std::optional<Code> code;  // none: a status that no error stands for
  std::string_view text;     // empty: no start ends with it any more
};

constexpr std::array kMeanings{
    Meaning{0, {}, "stopped by SIGTERM or SIGINT, all calls answered"},
    Meaning{kExitInternal, {}, "an internal error, or the process may open too few files or start too few threads"},
    Meaning{kExitWrongCommandLine, {}, "wrong command line"},
    Meaning{3, Code::kConfigInvalid, "the configuration is wrong"},
    Meaning{10, Code::kModuleUnusable, "the PKCS#11 module cannot be found or loaded"},
    Meaning{11, Code::kTokenAbsent, "no token matches the PKCS#11 URI, or it has no user PIN yet"},
    Meaning{12, Code::kTokenAmbiguous, "two tokens match it"},
    Meaning{13, Code::kPinUnreadable, "the PIN file cannot be read"},
    Meaning{14, Code::kPinExposed, "the PIN file is open to others"},
    Meaning{15, Code::kPinRefused,
            "the token refused the PIN (one attempt; not repeated until the PIN file holds another)"},
    Meaning{16, Code::kPinLocked, "the user PIN is locked, or one attempt away from it"},
    Meaning{
        17, Code::kKeyForbidden,
        "the token's key for the ledger or the audit log does not show what custody asks for, or the token lets such "
        "keys out"},
    Meaning{18, Code::kKeyAmbiguous, ""},
    Meaning{19, Code::kKeyUnproven, "one of assertiond's own keys on the token does not prove itself by a signature"},
    Meaning{20, Code::kAddressUnusable, "the address cannot be listened on"},
    Meaning{21, Code::kLedgerUnusable, "the ledger cannot be read"},
    Meaning{22, Code::kAuditUnusable,
            "the audit log cannot be written, is another process's, was changed, or is signed by a key that is not on "
            "the token"},
    Meaning{23, Code::kTlsUnusable,
            "a file that TLS needs cannot be used, or the token holds no key for the certificate"},
    Meaning{kExitHung, {}, "more HSM calls hang than there are sessions; the supervisor restarts the service"},
};

}  // namespace

int ExitStatus(Code code) {
  const auto* const found = std::ranges::find(kMeanings, std::optional(code), &Meaning::code);
  return found == kMeanings.end() ? kExitInternal : found->status;
}

std::string ExitStatusHelp() {
  constexpr std::size_t kColumn = 4;
  std::string help = "Exit status:\n";
  for (const auto& [status, code, text] : kMeanings) {
    if (!text.empty()) {
      auto number = std::to_string(status);
      number.resize(kColumn, ' ');
      help.append("  ").append(number).append(text).append("\n");
    }
  }
  return help;
}

}  // namespace assertion
