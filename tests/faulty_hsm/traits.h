#pragma once

#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "names.h"

namespace faulty_hsm {

// A token's traits, in contrast to its faults. Lines of the control file and of a personality (personality.h) that
// hold for every call. A number may be a name of names.h. TEMPLATE: any, public, private (the halves that
// C_GenerateKeyPair makes), data or certificate (for C_CreateObject). OBJECT: public or private, a colon and a CKA_ID
// in hexadecimal, for example private:01; without the CKA_ID all keys of that half.
//
//   refuses TEMPLATE ATTRIBUTE RV         the template may not name the attribute; * is any attribute
//   refuses TEMPLATE ATTRIBUTE RV VALUE   nor give this value to the flag
//   longest TEMPLATE ATTRIBUTE N RV       the attribute has at most N octets
//   template ATTRIBUTE RV                 short for: refuses any ATTRIBUTE RV
//   data RV                               short for: refuses data CKA_CLASS RV
//   unreadable ATTRIBUTE                  C_GetAttributeValue: CKR_ATTRIBUTE_TYPE_INVALID
//   shows ATTRIBUTE VALUE                 C_GetAttributeValue of a flag: this value
//   answers OBJECT ATTRIBUTE HEX          C_GetAttributeValue: these octets
//   measures OBJECT ATTRIBUTE N           C_GetAttributeValue: this length, when it is asked for, and CKR_OK
//   grows OBJECT ATTRIBUTE N              C_GetAttributeValue: this length, after the value was read, and CKR_OK
//   read_only RV                          C_OpenSession without CKF_RW_SESSION
//   sessions K                            C_OpenSession: CKR_SESSION_COUNT while K are open
//   unsigned MECHANISM                    C_SignInit: CKR_MECHANISM_INVALID, whatever C_GetMechanismInfo says
//   largest MECHANISM BITS                C_GetMechanismInfo: keys have at most so many bits
//   without MECHANISM                     nor is it listed or described, nor does it make keys
//   fails FUNCTION RV                     the function does not exist
//   pin user RV, pin hex4 RV              C_Login wants NAME:PIN, or four hexadecimal digits before the PIN
//   slot empty, slot accelerator          C_GetSlotList begins with a slot that has no token, or one without login
//   slot moving                           after each C_Initialize the token is in another slot
//   idle RV                               the answer of a session that a rule "* idle" has let time out
//   copies_weaker 1                       C_CopyObject makes the copy that it is asked for, whatever the original says
//   wraps_out 1                           C_WrapKey wraps every key
//   unwraps_weaker 1                      C_UnwrapKey makes a key that is neither sensitive nor unextractable
//   unwraps_any 1                         C_UnwrapKey makes a secret key, whatever CKA_UNWRAP says of the key it is
//   given takes_flags 1                         C_SetAttributeValue answers CKR_OK and changes nothing
//   reuses 1                              C_GenerateKey answers with the handle of the private key with CKA_ID 01
struct Traits {
  struct Refusal {
    std::string of;
    std::optional<CK_ATTRIBUTE_TYPE> attribute;
    std::optional<CK_BBOOL> value;
    std::optional<CK_ULONG> longest;
    CK_RV rv;
  };
  struct Object {
    CK_OBJECT_CLASS object_class;
    std::optional<std::string> id;
  };
  struct Lie {
    Object object;
    CK_ATTRIBUTE_TYPE attribute;
    std::string kind;  // answers, measures or grows
    std::string octets;
    CK_ULONG length;
  };

  std::vector<Refusal> refusals;
  std::set<CK_ATTRIBUTE_TYPE> unreadable;
  std::map<CK_ATTRIBUTE_TYPE, CK_BBOOL> shows;
  std::vector<Lie> lies;
  std::optional<CK_RV> read_only;
  std::optional<CK_ULONG> sessions;
  std::set<CK_MECHANISM_TYPE> without_signing;
  std::set<CK_MECHANISM_TYPE> without;
  std::map<CK_MECHANISM_TYPE, CK_ULONG> largest;
  std::map<std::string, CK_RV, std::less<>> missing;
  std::optional<std::pair<std::string, CK_RV>> pin;
  std::set<std::string, std::less<>> slots;
  CK_RV idle = CKR_SESSION_HANDLE_INVALID;
  bool copies_weaker = false;
  bool wraps_out = false;
  bool unwraps_weaker = false;
  bool unwraps_any = false;
  bool takes_flags = false;
  bool reuses = false;

  // False: the line is not one of these.
  bool Add(const std::string& line) {
    std::istringstream words(line);
    std::string word;
    std::vector<std::string> more;
    words >> word;
    for (std::string next; words >> next;) {
      more.push_back(next);
    }
    return AddRefusal(word, more) || AddLie(word, more) || AddOfToken(word, more) || AddNumbers(word, more);
  }

  // The answer to a template; nothing: it is taken.
  std::optional<CK_RV> Refuses(std::string_view of, std::span<const CK_ATTRIBUTE> attributes) const {
    for (const auto& refusal : refusals) {
      for (const auto& attribute : attributes) {
        const bool named =
            (refusal.of == "any" || refusal.of == of) && (!refusal.attribute || *refusal.attribute == attribute.type);
        const bool valued = !refusal.value || (attribute.ulValueLen == sizeof(CK_BBOOL) &&
                                               *static_cast<const CK_BBOOL*>(attribute.pValue) == *refusal.value);
        if (named && valued && (!refusal.longest || attribute.ulValueLen > *refusal.longest)) {
          return refusal.rv;
        }
      }
    }
    return {};
  }

  bool Lacks(CK_MECHANISM_TYPE mechanism) const { return without.contains(mechanism); }

 private:
  bool AddRefusal(const std::string& word, const std::vector<std::string>& more) {
    const std::set<std::string> templates = {"any", "public", "private", "data", "certificate"};
    const bool refuses = word == "refuses" && (more.size() == 3 || more.size() == 4);
    const bool longest = word == "longest" && more.size() == 4;
    if ((!refuses && !longest) || !templates.contains(more[0])) {
      return false;
    }
    CK_ULONG attribute = 0;
    CK_ULONG third = 0;
    CK_ULONG fourth = 0;
    const bool every = more[1] == "*";
    if ((!every && !ParseNumber(more[1], attribute)) || !ParseNumber(more[2], third) ||
        (more.size() == 4 && !ParseNumber(more[3], fourth))) {
      return false;
    }
    Refusal refusal{.of = more[0], .attribute = {}, .value = {}, .longest = {}, .rv = longest ? fourth : third};
    if (!every) {
      refusal.attribute = attribute;
    }
    if (longest) {
      refusal.longest = third;
    } else if (more.size() == 4) {
      refusal.value = fourth == 0 ? CK_FALSE : CK_TRUE;
    }
    refusals.push_back(refusal);
    return true;
  }

  bool AddLie(const std::string& word, const std::vector<std::string>& more) {
    if ((word != "answers" && word != "measures" && word != "grows") || more.size() != 3) {
      return false;
    }
    const auto colon = more[0].find(':');
    const auto half = more[0].substr(0, colon);
    CK_ULONG attribute = 0;
    CK_ULONG length = 0;
    if ((half != "public" && half != "private") || !ParseNumber(more[1], attribute) ||
        (word != "answers" && !ParseNumber(more[2], length))) {
      return false;
    }
    lies.push_back({.object = {.object_class = half == "public" ? CKO_PUBLIC_KEY : CKO_PRIVATE_KEY,
                               .id = colon == std::string::npos ? std::nullopt
                                                                : std::optional(FromHex(more[0].substr(colon + 1)))},
                    .attribute = attribute,
                    .kind = word,
                    .octets = word == "answers" ? FromHex(more[2]) : std::string(),
                    .length = length});
    return true;
  }

  bool AddOfToken(const std::string& word, const std::vector<std::string>& more) {
    if (word == "slot" && more.size() == 1 && (more[0] == "empty" || more[0] == "accelerator" || more[0] == "moving")) {
      slots.insert(more[0]);
      return true;
    }
    CK_ULONG rv = 0;
    if (more.size() != 2 || !ParseNumber(more[1], rv)) {
      return false;
    }
    if (word == "fails" && more[0].starts_with("C_")) {
      missing[more[0]] = rv;
      return true;
    }
    if (word == "pin" && (more[0] == "user" || more[0] == "hex4")) {
      pin = {more[0], rv};
      return true;
    }
    return false;
  }

  bool AddNumbers(const std::string& word, const std::vector<std::string>& more) {
    CK_ULONG first = 0;
    CK_ULONG second = 0;
    if (more.empty() || more.size() > 2 || !ParseNumber(more[0], first) ||
        (more.size() == 2 && !ParseNumber(more[1], second))) {
      return false;
    }
    if (more.size() == 2) {
      if (word == "template") {
        refusals.push_back({.of = "any", .attribute = first, .value = {}, .longest = {}, .rv = second});
      } else if (word == "shows") {
        shows[first] = second == 0 ? CK_FALSE : CK_TRUE;
      } else if (word == "largest") {
        largest[first] = second;
      } else {
        return false;
      }
      return true;
    }
    if (word == "data") {
      refusals.push_back({.of = "data", .attribute = CKA_CLASS, .value = {}, .longest = {}, .rv = first});
    } else if (word == "unreadable") {
      unreadable.insert(first);
    } else if (word == "read_only") {
      read_only = first;
    } else if (word == "sessions") {
      sessions = first;
    } else if (word == "unsigned") {
      without_signing.insert(first);
    } else if (word == "without") {
      without.insert(first);
    } else if (word == "idle") {
      idle = first;
    } else if (word == "copies_weaker") {
      copies_weaker = first != 0;
    } else if (word == "wraps_out") {
      wraps_out = first != 0;
    } else if (word == "unwraps_weaker") {
      unwraps_weaker = first != 0;
    } else if (word == "unwraps_any") {
      unwraps_any = first != 0;
    } else if (word == "takes_flags") {
      takes_flags = first != 0;
    } else if (word == "reuses") {
      reuses = first != 0;
    } else {
      return false;
    }
    return true;
  }

  static std::string FromHex(std::string_view text) {
    std::string octets;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
      CK_ULONG octet = 0;
      ParseNumber("0x" + std::string(text.substr(i, 2)), octet);
      octets += static_cast<char>(octet);
    }
    return octets;
  }
};

}  // namespace faulty_hsm
