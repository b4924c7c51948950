#pragma once

#include <p11-kit/pkcs11.h>

#include <charconv>
#include <map>
#include <string>
#include <string_view>

namespace faulty_hsm {

// The names that control files and personalities may use for numbers.
inline const std::map<std::string_view, CK_ULONG>& Names() {
#define NAME(name) {#name, name}
  static const std::map<std::string_view, CK_ULONG> names = {
      NAME(CKA_CLASS),
      NAME(CKA_TOKEN),
      NAME(CKA_PRIVATE),
      NAME(CKA_LABEL),
      NAME(CKA_APPLICATION),
      NAME(CKA_VALUE),
      NAME(CKA_KEY_TYPE),
      NAME(CKA_SUBJECT),
      NAME(CKA_ID),
      NAME(CKA_SENSITIVE),
      NAME(CKA_DECRYPT),
      NAME(CKA_WRAP),
      NAME(CKA_UNWRAP),
      NAME(CKA_SIGN),
      NAME(CKA_SIGN_RECOVER),
      NAME(CKA_DERIVE),
      NAME(CKA_MODULUS),
      NAME(CKA_PUBLIC_EXPONENT),
      NAME(CKA_EXTRACTABLE),
      NAME(CKA_LOCAL),
      NAME(CKA_NEVER_EXTRACTABLE),
      NAME(CKA_ALWAYS_SENSITIVE),
      NAME(CKA_MODIFIABLE),
      {"CKA_COPYABLE", 0x171},  // newer than p11-kit's header
      NAME(CKA_EC_PARAMS),
      NAME(CKA_EC_POINT),
      NAME(CKR_GENERAL_ERROR),
      NAME(CKR_FUNCTION_FAILED),
      NAME(CKR_ARGUMENTS_BAD),
      NAME(CKR_ATTRIBUTE_READ_ONLY),
      NAME(CKR_ATTRIBUTE_TYPE_INVALID),
      NAME(CKR_ATTRIBUTE_VALUE_INVALID),
      NAME(CKR_DEVICE_ERROR),
      NAME(CKR_DEVICE_MEMORY),
      NAME(CKR_FUNCTION_NOT_SUPPORTED),
      NAME(CKR_PIN_INCORRECT),
      NAME(CKR_SESSION_CLOSED),
      NAME(CKR_SESSION_HANDLE_INVALID),
      NAME(CKR_TEMPLATE_INCOMPLETE),
      NAME(CKR_TEMPLATE_INCONSISTENT),
      NAME(CKR_BUFFER_TOO_SMALL),
      NAME(CKR_CRYPTOKI_NOT_INITIALIZED),
      NAME(CKM_RSA_PKCS),
      NAME(CKM_RSA_PKCS_PSS),
      NAME(CKM_SHA256_RSA_PKCS),
      NAME(CKM_SHA384_RSA_PKCS),
      NAME(CKM_SHA512_RSA_PKCS),
      NAME(CKM_SHA256_RSA_PKCS_PSS),
      NAME(CKM_SHA384_RSA_PKCS_PSS),
      NAME(CKM_SHA512_RSA_PKCS_PSS),
      NAME(CKM_ECDSA),
      {"CKM_ECDSA_SHA256", 0x1044},
      {"CKM_ECDSA_SHA384", 0x1045},
      {"CKM_ECDSA_SHA512", 0x1046},
      {"CKM_EC_EDWARDS_KEY_PAIR_GEN", 0x1055},
      {"CKM_EDDSA", 0x1057},
  };
#undef NAME
  return names;
}

// Reads a name of Names, or a number: decimal, hexadecimal after 0x, or -1.
inline bool ParseNumber(std::string_view text, CK_ULONG& number) {
  if (const auto found = Names().find(text); found != Names().end()) {
    number = found->second;
    return true;
  }
  if (text == "-1") {
    number = CK_UNAVAILABLE_INFORMATION;
    return true;
  }
  constexpr int kDecimal = 10;
  constexpr int kHexadecimal = 16;
  const bool hexadecimal = text.starts_with("0x");
  text.remove_prefix(hexadecimal ? 2 : 0);
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, hexadecimal ? kHexadecimal : kDecimal);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

}  // namespace faulty_hsm
