#pragma once

#include <p11-kit/pkcs11.h>

#include <cstdint>
#include <type_traits>

#include "assertion/bytes.h"

namespace assertion::p11 {

inline constexpr CK_BBOOL kTrue = CK_TRUE;
inline constexpr CK_BBOOL kFalse = CK_FALSE;

// One entry of a PKCS#11 template. It points to `value`, which must outlive the call that gets the template.
inline CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, BytesView value) {
  return {.type = type, .pValue = const_cast<std::uint8_t*>(value.data()), .ulValueLen = value.size()};
}

template <typename T>
  requires std::is_arithmetic_v<T>
CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, const T& value) {
  return {.type = type, .pValue = const_cast<T*>(&value), .ulValueLen = sizeof value};
}

template <typename T>
  requires std::is_arithmetic_v<T>
CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, const T&& value) = delete;  // a temporary would not live long enough

}  // namespace assertion::p11
