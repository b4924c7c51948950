#pragma once

#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

// What a token is, beside the faults that it has: lines of the control file that hold for every call.
//
//   template ATTRIBUTE RV   a template with this attribute is refused with this CK_RV (C_GenerateKeyPair, C_CreateObject)
//   unreadable ATTRIBUTE    C_GetAttributeValue: CKR_ATTRIBUTE_TYPE_INVALID
//   shows ATTRIBUTE VALUE   C_GetAttributeValue of a flag: this value
//   data RV                 C_CreateObject of a data object is refused with this CK_RV
//   read_only RV            C_OpenSession without CKF_RW_SESSION is refused with this CK_RV
//   unsigned MECHANISM      C_SignInit: CKR_MECHANISM_INVALID, whatever C_GetMechanismInfo says
//   sessions K              C_OpenSession: CKR_SESSION_COUNT while K are open
//   reads_out ATTRIBUTE     C_GetAttributeValue of this attribute shows a value, although the key is sensitive
//   copies_weaker 1         C_CopyObject makes the copy that it is asked for, whatever the original says
//   wraps_out 1             C_WrapKey wraps every key
//   takes_flags 1           C_SetAttributeValue answers CKR_OK and changes nothing
struct Traits {
  std::map<CK_ATTRIBUTE_TYPE, CK_RV> templates;
  std::set<CK_ATTRIBUTE_TYPE> unreadable;
  std::map<CK_ATTRIBUTE_TYPE, CK_ULONG> shows;
  std::optional<CK_RV> data;
  std::optional<CK_RV> read_only;
  std::set<CK_MECHANISM_TYPE> without_signing;
  std::optional<CK_ULONG> sessions;
  std::set<CK_ATTRIBUTE_TYPE> reads_out;
  bool copies_weaker = false;
  bool wraps_out = false;
  bool takes_flags = false;

  // False: the word is not one of these. Numbers that are missing are 0.
  bool Add(const std::string& word, CK_ULONG first, CK_ULONG second) {
    if (word == "template") {
      templates[first] = second;
    } else if (word == "unreadable") {
      unreadable.insert(first);
    } else if (word == "shows") {
      shows[first] = second;
    } else if (word == "data") {
      data = first;
    } else if (word == "read_only") {
      read_only = first;
    } else if (word == "unsigned") {
      without_signing.insert(first);
    } else if (word == "sessions") {
      sessions = first;
    } else if (word == "reads_out") {
      reads_out.insert(first);
    } else if (word == "copies_weaker") {
      copies_weaker = first != 0;
    } else if (word == "wraps_out") {
      wraps_out = first != 0;
    } else if (word == "takes_flags") {
      takes_flags = first != 0;
    } else {
      return false;
    }
    return true;
  }

  // The answer to a template; nothing: it is taken.
  std::optional<CK_RV> Refusal(std::span<const CK_ATTRIBUTE> attributes) const {
    for (const auto& attribute : attributes) {
      if (const auto found = templates.find(attribute.type); found != templates.end()) {
        return found->second;
      }
      const bool is_data = attribute.type == CKA_CLASS && attribute.ulValueLen == sizeof(CK_OBJECT_CLASS) &&
                           *static_cast<const CK_OBJECT_CLASS*>(attribute.pValue) == CKO_DATA;
      if (is_data && data) {
        return data;
      }
    }
    return {};
  }

  // Changes what C_GetAttributeValue returned.
  CK_RV Show(std::span<CK_ATTRIBUTE> attributes, CK_RV rv) const {
    for (auto& attribute : attributes) {
      if (unreadable.contains(attribute.type)) {
        attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        rv = CKR_ATTRIBUTE_TYPE_INVALID;
      } else if (reads_out.contains(attribute.type) && attribute.pValue != nullptr) {
        *static_cast<CK_BYTE*>(attribute.pValue) = 1;
        attribute.ulValueLen = 1;
        rv = CKR_OK;
      } else if (const auto shown = shows.find(attribute.type);
                 shown != shows.end() && attribute.pValue != nullptr && attribute.ulValueLen == sizeof(CK_BBOOL)) {
        *static_cast<CK_BBOOL*>(attribute.pValue) = shown->second == 0 ? CK_FALSE : CK_TRUE;
      }
    }
    return rv;
  }
};
