// A PKCS#11 module that wraps a real one (its path in FAULTY_HSM_MODULE). It fails as the rules (rules.h) of the file
// in FAULTY_HSM_CONTROL say, and is the token that the traits (traits.h) of that file and of the personality in
// FAULTY_HSM_PERSONALITY describe. The control file is read again when it changes (replace it by rename), and every
// count begins anew. The personality is read by C_Initialize. Without files it only hands calls on.
//
// FAULTY_HSM_COUNTS may name a file, made when it is missing, that shows while the module runs how often each function
// was called, and how often a rule met it: records of 64 octets, a name of 48 and two 64-bit numbers of this machine.
// The first number of the record "sessions" is how many are open.
//
// FAULTY_HSM_STORES may name a file that each call locks, alone if it makes, changes or destroys objects. So several
// processes with one SoftHSM2 token see each other's objects, as the clients of a network HSM do.
//
// A network HSM of k sessions, t ms a signature: C_Sign take=t, for a program that opens k. A call that waits holds no
// lock. A line that is not understood ends the process: a rule that is ignored would let a test pass.
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "call.h"

namespace faulty_hsm {
namespace {

// Those that do more than the fault.
constexpr CK_SLOT_ID kEmptySlot = 0x7ffffff0;
constexpr CK_SLOT_ID kAccelerator = 0x7ffffff1;

CK_SLOT_ID ToRealSlot(CK_SLOT_ID seen) { return seen - slot_offset; }

CK_RV Initialize(void* arguments) {
  TheFaults().TakePersonality();
  return Faulty("C_Initialize", [&](const Taken&) {
    constexpr CK_SLOT_ID kFurther = 100;
    const auto rv = real->C_Initialize(arguments);
    slot_offset += rv == CKR_OK && TheFaults().traits()->slots.contains("moving") ? kFurther : 0;
    return rv;
  });
}

CK_RV Finalize(void* reserved) {
  return Faulty("C_Finalize", [&](const Taken&) {
    is_wedged = false;
    is_idle = CKR_OK;
    TheFaults().ForgetSessions();
    return real->C_Finalize(reserved);
  });
}

// Answers a caller that asks for the number of values first.
template <typename Value>
CK_RV Return(const std::vector<Value>& values, Value* buffer, CK_ULONG* count) {
  const auto room = *count;
  *count = values.size();
  if (buffer != nullptr && room < values.size()) {
    return CKR_BUFFER_TOO_SMALL;
  }
  if (buffer != nullptr) {
    std::ranges::copy(values, buffer);
  }
  return CKR_OK;
}

CK_RV GetSlotList(CK_BBOOL token_present, CK_SLOT_ID* slots, CK_ULONG* count) {
  return Faulty("C_GetSlotList", [&](const Taken& taken) {
    if (token_present != CK_FALSE && taken.removed) {
      *count = 0;
      return CK_RV{CKR_OK};
    }
    CK_ULONG real_count = 0;
    auto rv = real->C_GetSlotList(token_present, nullptr, &real_count);
    std::vector<CK_SLOT_ID> all(real_count);
    rv = rv == CKR_OK ? real->C_GetSlotList(token_present, all.data(), &real_count) : rv;
    if (rv != CKR_OK) {
      return rv;
    }
    all.resize(real_count);
    std::ranges::for_each(all, [](auto& slot) { slot += slot_offset; });
    const auto traits = TheFaults().traits();
    if (traits->slots.contains("empty") && token_present == CK_FALSE) {
      all.insert(all.begin(), kEmptySlot);
    }
    if (traits->slots.contains("accelerator")) {
      all.insert(all.begin(), kAccelerator);
    }
    return Return(all, slots, count);
  });
}

CK_RV GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO* info) {
  return Faulty("C_GetSlotInfo", [&](const Taken&) { return real->C_GetSlotInfo(ToRealSlot(slot), info); });
}

CK_RV GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  return Faulty("C_GetTokenInfo", [&](const Taken& taken) {
    if (slot == kEmptySlot) {
      return CK_RV{CKR_TOKEN_NOT_PRESENT};
    }
    if (slot == kAccelerator) {
      *info = {};
      std::string_view("accelerator").copy(reinterpret_cast<char*>(info->label), sizeof info->label);
      info->flags = CKF_RNG | CKF_TOKEN_INITIALIZED;
      return CK_RV{CKR_OK};
    }
    const auto rv = real->C_GetTokenInfo(ToRealSlot(slot), info);
    info->flags |= rv == CKR_OK && taken.Is("flags") ? taken.rule->value : 0;
    return rv;
  });
}

CK_RV GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE* mechanisms, CK_ULONG* count) {
  return Faulty("C_GetMechanismList", [&](const Taken&) {
    CK_ULONG real_count = 0;
    auto rv = real->C_GetMechanismList(ToRealSlot(slot), nullptr, &real_count);
    std::vector<CK_MECHANISM_TYPE> all(real_count);
    rv = rv == CKR_OK ? real->C_GetMechanismList(ToRealSlot(slot), all.data(), &real_count) : rv;
    if (rv != CKR_OK) {
      return rv;
    }
    all.resize(real_count);
    std::erase_if(all, [traits = TheFaults().traits()](auto type) { return traits->Lacks(type); });
    return Return(all, mechanisms, count);
  });
}

CK_RV GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO* info) {
  return Faulty("C_GetMechanismInfo", [&](const Taken&) {
    const auto traits = TheFaults().traits();
    if (traits->Lacks(type)) {
      return CK_RV{CKR_MECHANISM_INVALID};
    }
    const auto rv = real->C_GetMechanismInfo(ToRealSlot(slot), type, info);
    if (const auto most = traits->largest.find(type); rv == CKR_OK && most != traits->largest.end()) {
      info->ulMaxKeySize = std::min(info->ulMaxKeySize, most->second);
    }
    return rv;
  });
}

CK_RV OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void* application, CK_NOTIFY notify, CK_SESSION_HANDLE* session) {
  return Faulty("C_OpenSession", [&](const Taken&) {
    const auto traits = TheFaults().traits();
    if (traits->read_only && (flags & CKF_RW_SESSION) == 0) {
      return *traits->read_only;
    }
    if (traits->sessions && TheFaults().OpenSessions() >= static_cast<long>(*traits->sessions)) {
      return CK_RV{CKR_SESSION_COUNT};
    }
    const auto rv = real->C_OpenSession(ToRealSlot(slot), flags, application, notify, session);
    TheFaults().AddSessions(rv == CKR_OK ? 1 : 0);
    return rv;
  });
}

CK_RV CloseSession(CK_SESSION_HANDLE session) {
  return Faulty("C_CloseSession", [&](const Taken&) {
    const auto rv = real->C_CloseSession(session);
    TheFaults().AddSessions(rv == CKR_OK ? -1 : 0);
    return rv;
  });
}

CK_RV CloseAllSessions(CK_SLOT_ID slot) {
  return Faulty("C_CloseAllSessions", [&](const Taken&) { return real->C_CloseAllSessions(ToRealSlot(slot)); });
}

// The real token's PIN in what the form asks for; nothing when the form is another.
std::optional<std::string_view> WithoutPrefix(std::string_view form, std::string_view pin) {
  constexpr std::size_t kDigits = 4;
  if (form == "hex4") {
    const auto digits = pin.substr(0, kDigits);
    const bool right = digits.size() == kDigits && digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
    return right ? std::optional(pin.substr(kDigits)) : std::nullopt;
  }
  const auto colon = pin.find(':');
  return colon != 0 && colon != pin.npos ? std::optional(pin.substr(colon + 1)) : std::nullopt;
}

CK_RV Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR* pin, CK_ULONG size) {
  return Faulty("C_Login", [&](const Taken&) {
    const auto traits = TheFaults().traits();
    if (!traits->pin) {
      return real->C_Login(session, user, pin, size);
    }
    const auto own = WithoutPrefix(traits->pin->first, {reinterpret_cast<const char*>(pin), size});
    return own ? real->C_Login(session, user, pin + (size - own->size()), own->size()) : traits->pin->second;
  });
}

CK_RV FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE* objects, CK_ULONG most, CK_ULONG* count) {
  return Faulty("C_FindObjects", [&](const Taken&) {
    const auto rv = real->C_FindObjects(session, objects, most, count);
    std::for_each(objects, objects + (rv == CKR_OK ? *count : 0), [](auto& object) { object += offset; });
    return rv;
  });
}

// Which template it is in the words of traits.h.
std::string_view KindOf(std::span<const CK_ATTRIBUTE> attributes) {
  for (const auto& attribute : attributes) {
    if (attribute.type == CKA_CLASS && attribute.ulValueLen == sizeof(CK_OBJECT_CLASS)) {
      const auto object_class = *static_cast<const CK_OBJECT_CLASS*>(attribute.pValue);
      return object_class == CKO_DATA ? "data" : object_class == CKO_CERTIFICATE ? "certificate" : "key";
    }
  }
  return "";
}

CK_RV CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE* pattern, CK_ULONG count, CK_OBJECT_HANDLE* object) {
  return FaultyStore("C_CreateObject", session, [&](const Taken&) {
    const std::span<const CK_ATTRIBUTE> attributes(pattern, count);
    if (const auto refused = TheFaults().traits()->Refuses(KindOf(attributes), attributes)) {
      return *refused;
    }
    const auto rv = real->C_CreateObject(session, pattern, count, object);
    *object += rv == CKR_OK ? offset.load() : 0;
    return rv;
  });
}

CK_RV GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_ATTRIBUTE* public_pattern,
                      CK_ULONG public_count, CK_ATTRIBUTE* private_pattern, CK_ULONG private_count,
                      CK_OBJECT_HANDLE* public_key, CK_OBJECT_HANDLE* private_key) {
  return FaultyStore("C_GenerateKeyPair", session, [&](const Taken&) {
    const auto traits = TheFaults().traits();
    if (traits->Lacks(mechanism->mechanism)) {
      return CK_RV{CKR_MECHANISM_INVALID};
    }
    if (const auto refused = traits->Refuses("public", {public_pattern, public_count})) {
      return *refused;
    }
    if (const auto refused = traits->Refuses("private", {private_pattern, private_count})) {
      return *refused;
    }
    const auto rv = real->C_GenerateKeyPair(session, mechanism, public_pattern, public_count, private_pattern,
                                            private_count, public_key, private_key);
    *public_key += rv == CKR_OK ? offset.load() : 0;
    *private_key += rv == CKR_OK ? offset.load() : 0;
    return rv;
  });
}

CK_RV DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  return FaultyStore("C_DestroyObject", session,
                     [&](const Taken&) { return real->C_DestroyObject(session, ToReal(object)); });
}

bool IsThat(const Traits::Object& that, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  constexpr std::size_t kLongest = 256;
  CK_OBJECT_CLASS object_class = 0;
  std::array<char, kLongest> id{};
  std::array pattern = {CK_ATTRIBUTE{CKA_CLASS, &object_class, sizeof object_class},
                        CK_ATTRIBUTE{CKA_ID, id.data(), id.size()}};
  const auto rv = real->C_GetAttributeValue(session, object, pattern.data(), pattern.size());
  return rv == CKR_OK && object_class == that.object_class &&
         (!that.id || *that.id == std::string_view(id.data(), pattern[1].ulValueLen));
}

// Puts the lie in the place of what the token told.
CK_RV Tell(const Traits::Lie& lie, CK_VOID_PTR buffer, CK_ULONG room, CK_ATTRIBUTE& attribute) {
  attribute.pValue = buffer;
  if (lie.kind == "measures" && buffer == nullptr) {
    attribute.ulValueLen = lie.length;
  } else if (lie.kind == "grows" && buffer != nullptr) {
    attribute.ulValueLen = lie.length;
  } else if (lie.kind == "answers") {
    attribute.ulValueLen = lie.octets.size();
    if (buffer != nullptr && room < lie.octets.size()) {
      attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
      return CKR_BUFFER_TOO_SMALL;
    }
    if (buffer != nullptr) {
      std::memcpy(buffer, lie.octets.data(), lie.octets.size());
    }
  }
  return CKR_OK;
}

CK_RV GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* pattern, CK_ULONG count) {
  return Faulty("C_GetAttributeValue", [&](const Taken&) {
    const std::vector<CK_ATTRIBUTE> asked(pattern, pattern + count);
    auto rv = real->C_GetAttributeValue(session, ToReal(object), pattern, count);
    const auto traits = TheFaults().traits();
    for (CK_ULONG i = 0; i < count; ++i) {
      auto& attribute = pattern[i];
      if (traits->unreadable.contains(attribute.type)) {
        attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        rv = CKR_ATTRIBUTE_TYPE_INVALID;
      } else if (const auto shown = traits->shows.find(attribute.type); shown != traits->shows.end() &&
                                                                        attribute.pValue != nullptr &&
                                                                        attribute.ulValueLen == sizeof(CK_BBOOL)) {
        *static_cast<CK_BBOOL*>(attribute.pValue) = shown->second;
      }
      for (const auto& lie : traits->lies) {
        if (lie.attribute == attribute.type && IsThat(lie.object, session, ToReal(object))) {
          rv = Tell(lie, asked[i].pValue, asked[i].ulValueLen, attribute);
        }
      }
    }
    return rv;
  });
}

// "copies_weaker": another key, which is as weak as asked for, and a session object.
CK_RV CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* pattern, CK_ULONG count,
                 CK_OBJECT_HANDLE* copy) {
  return FaultyStore("C_CopyObject", session, [&](const Taken&) {
    if (!TheFaults().traits()->copies_weaker) {
      return real->C_CopyObject(session, ToReal(object), pattern, count, copy);
    }
    CK_MECHANISM mechanism{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
    CK_ULONG bits = 2048;
    CK_ATTRIBUTE public_pattern{CKA_MODULUS_BITS, &bits, sizeof bits};
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
    const auto rv = real->C_GenerateKeyPair(session, &mechanism, &public_pattern, 1, pattern, count, &public_key, copy);
    real->C_DestroyObject(session, public_key);
    *copy += rv == CKR_OK ? offset.load() : 0;
    return rv;
  });
}

CK_RV WrapKey(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE key,
              CK_BYTE* wrapped, CK_ULONG* size) {
  return Faulty("C_WrapKey", [&](const Taken&) {
    if (!TheFaults().traits()->wraps_out || *size == 0) {
      return real->C_WrapKey(session, mechanism, ToReal(wrapping), ToReal(key), wrapped, size);
    }
    *size = 1;
    *wrapped = 1;
    return CK_RV{CKR_OK};
  });
}

CK_RV UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE unwrapping, CK_BYTE* wrapped,
                CK_ULONG size, CK_ATTRIBUTE* pattern, CK_ULONG count, CK_OBJECT_HANDLE* key) {
  return FaultyStore("C_UnwrapKey", session, [&](const Taken&) {
    const auto traits = TheFaults().traits();
    std::vector<CK_ATTRIBUTE> asked(pattern, pattern + count);
    const auto object_class = std::ranges::find(asked, CK_ATTRIBUTE_TYPE{CKA_CLASS}, &CK_ATTRIBUTE::type);
    if (traits->unwraps_any && object_class != asked.end() &&
        *static_cast<const CK_OBJECT_CLASS*>(object_class->pValue) == CKO_SECRET_KEY) {
      CK_BYTE value[16] = {1};
      asked.push_back({CKA_VALUE, value, sizeof value});
      return real->C_CreateObject(session, asked.data(), asked.size(), key);
    }
    if (traits->unwraps_weaker) {
      static CK_BBOOL weaker[] = {CK_FALSE, CK_TRUE};
      for (auto& one : asked) {
        one.pValue = one.type == CKA_SENSITIVE ? &weaker[0] : one.type == CKA_EXTRACTABLE ? &weaker[1] : one.pValue;
      }
    }
    const auto rv =
        real->C_UnwrapKey(session, mechanism, ToReal(unwrapping), wrapped, size, asked.data(), asked.size(), key);
    *key += rv == CKR_OK ? offset.load() : 0;
    return rv;
  });
}

CK_RV SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* pattern, CK_ULONG count) {
  return FaultyStore("C_SetAttributeValue", session, [&](const Taken&) {
    return TheFaults().traits()->takes_flags ? CK_RV{CKR_OK}
                                             : real->C_SetAttributeValue(session, ToReal(object), pattern, count);
  });
}

CK_RV GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_ATTRIBUTE* pattern, CK_ULONG count,
                  CK_OBJECT_HANDLE* key) {
  return FaultyStore("C_GenerateKey", session, [&](const Taken&) {
    if (TheFaults().traits()->reuses) {
      CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
      CK_BYTE id = 1;
      std::array that = {CK_ATTRIBUTE{CKA_CLASS, &object_class, sizeof object_class},
                         CK_ATTRIBUTE{CKA_ID, &id, sizeof id}};
      CK_ULONG found = 0;
      real->C_FindObjectsInit(session, that.data(), that.size());
      real->C_FindObjects(session, key, 1, &found);
      real->C_FindObjectsFinal(session);
      *key += offset;
      return found == 1 ? CK_RV{CKR_OK} : CK_RV{CKR_FUNCTION_FAILED};
    }
    const auto rv = real->C_GenerateKey(session, mechanism, pattern, count, key);
    *key += rv == CKR_OK ? offset.load() : 0;
    return rv;
  });
}

CK_RV DecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
  return Faulty("C_DecryptInit", [&](const Taken&) { return real->C_DecryptInit(session, mechanism, ToReal(key)); });
}

CK_RV SignInit(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
  return Faulty("C_SignInit", [&](const Taken& taken) {
    const auto traits = TheFaults().traits();
    if (traits->without_signing.contains(mechanism->mechanism) || traits->Lacks(mechanism->mechanism)) {
      return CK_RV{CKR_MECHANISM_INVALID};
    }
    return real->C_SignInit(session, mechanism, taken.Is("swap") ? Other(session, ToReal(key)) : ToReal(key));
  });
}

CK_RV Sign(CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG size, CK_BYTE* signature, CK_ULONG* signature_size) {
  return Faulty("C_Sign", [&](const Taken& taken) {
    const auto rv = real->C_Sign(session, data, size, signature, signature_size);
    if (rv == CKR_OK && signature != nullptr && taken.Is("flip")) {
      signature[*signature_size / 2] ^= 1U;
    }
    return rv;
  });
}

CK_FUNCTION_LIST wrapper;

void Wrap() {
  wrapper = *real;
#define WRAP(name)                                                \
  do {                                                            \
    static constexpr char kName[] = #name;                        \
    wrapper.name = Wrapped<&CK_FUNCTION_LIST::name, kName>::Call; \
    Functions().emplace(kName);                                   \
  } while (false)
  WRAP(C_GetInfo);
  WRAP(C_SetAttributeValue);
  WRAP(C_GetSessionInfo);
  WRAP(C_Logout);
  WRAP(C_FindObjectsInit);
  WRAP(C_FindObjectsFinal);
  WRAP(C_SignUpdate);
  WRAP(C_SignFinal);
  WRAP(C_SeedRandom);
  WRAP(C_GenerateRandom);
  WRAP(C_DigestInit);
  WRAP(C_Digest);
#undef WRAP
#define WRAP(name)                   \
  do {                               \
    wrapper.C_##name = name;         \
    Functions().emplace("C_" #name); \
  } while (false)
  WRAP(Initialize);
  WRAP(Finalize);
  WRAP(GetSlotList);
  WRAP(GetSlotInfo);
  WRAP(GetTokenInfo);
  WRAP(GetMechanismList);
  WRAP(GetMechanismInfo);
  WRAP(OpenSession);
  WRAP(CloseSession);
  WRAP(CloseAllSessions);
  WRAP(Login);
  WRAP(FindObjects);
  WRAP(CreateObject);
  WRAP(UnwrapKey);
  WRAP(GenerateKeyPair);
  WRAP(DestroyObject);
  WRAP(GetAttributeValue);
  WRAP(CopyObject);
  WRAP(WrapKey);
  WRAP(SetAttributeValue);
  WRAP(GenerateKey);
  WRAP(DecryptInit);
  WRAP(SignInit);
  WRAP(Sign);
#undef WRAP
}

}  // namespace
}  // namespace faulty_hsm

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  static const bool wrapped = [] {
    const char* path = std::getenv("FAULTY_HSM_MODULE");
    void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const auto get =
        library == nullptr ? nullptr : reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
    if (get == nullptr || get(&faulty_hsm::real) != CKR_OK) {
      return false;
    }
    faulty_hsm::Wrap();
    return true;
  }();
  *list = &faulty_hsm::wrapper;
  return wrapped ? CKR_OK : CKR_GENERAL_ERROR;
}
