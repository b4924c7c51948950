// A PKCS#11 module that wraps a real one (its path in FAULTY_HSM_MODULE) and fails as it is told, by the file that
// FAULTY_HSM_CONTROL names: one rule a line, the first that fits a call counts. The file is read again when it changes
// (replace it by rename), and every count begins anew. No file, or an empty one: no faults.
//
//   FUNCTION ACTION [skip=N] [times=N]     FUNCTION: for example C_Sign, or * for all but C_Initialize and C_Finalize
//   skip: lets N calls pass first; times: for that many calls, otherwise for as long as the file says so
//
//   C_Sign fail=0x30        answers this CK_RV without asking the real module
//   C_Sign delay=40         milliseconds, before the real call; 0.25 is a quarter of one
//   C_Sign delay=40 spread=8   normally distributed with that standard deviation, never below 0
//   C_Sign delay=exp:40     exponentially distributed with that mean
//   C_Sign take=40          milliseconds from the call to its return, the real call in it; spread and exp: as for delay
//   C_Sign hang             until the file says otherwise, then goes on
//   C_Sign flip             one bit of the signature is wrong
//   C_SignInit swap         the key is another private key of the token than the one that was asked for
//   C_Sign crash            ends the process
//   C_Sign dropped          every session is closed first, and the login is gone with them
//   * removed               the token is away: no slot holds it, its sessions and its login are gone
//   * wedged                CKR_DEVICE_ERROR to everything until C_Finalize, though the file may say otherwise by then
//   C_FindObjects renumber  object handles are others than before the file changed
//   C_OpenSession limit=K   CKR_SESSION_COUNT while K sessions are open
//   C_GetTokenInfo flags=F  the token shows these flags, too: 0x40000 its user PIN is locked
//
// Lines that tell what kind of token it is, and not how it fails, are in traits.h.
//
// FAULTY_HSM_COUNTS may name a file, made when it is missing, that tells while the module runs how often each function
// was called, and how often a rule met it: records of 64 octets, a name of 48 and two 64-bit numbers of this machine.
// The first number of the record "sessions" is how many are open.
//
// A network HSM of k sessions, t ms a signature: C_Sign take=t, for a program that opens k. Whoever waits holds no
// lock. What is not understood ends the process, which says so: a rule that is ignored would let a test pass.
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "traits.h"

namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

struct Delay {
  double mean = 0;
  double spread = 0;
  bool exponential = false;

  Milliseconds Draw() const {
    thread_local std::mt19937_64 random(std::random_device{}());
    if (exponential) {
      return Milliseconds(std::exponential_distribution(1 / mean)(random));
    }
    return Milliseconds(spread > 0 ? std::max(0.0, std::normal_distribution(mean, spread)(random)) : mean);
  }
};

struct Rule {
  std::string function;
  std::string action;
  CK_ULONG value = 0;
  Delay delay;
  long skip = 0;
  long times = -1;  // -1: without end

  bool Fits(std::string_view called) const {
    const bool all = function == "*" && called != "C_Initialize" && called != "C_Finalize";
    return (function == called || all) && times != 0;
  }
};

// The functions that a rule may name: those that are wrapped here.
std::set<std::string, std::less<>>& Functions() {
  static auto* functions = new std::set<std::string, std::less<>>;  // outlives every thread
  return *functions;
}

template <typename Number>
bool Parse(std::string_view text, Number& number) {
  int base = 10;
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  const auto* end = text.data() + text.size();
  const auto parsed = [&] {
    if constexpr (std::is_floating_point_v<Number>) {
      return std::from_chars(text.data(), end, number);
    } else {
      return std::from_chars(text.data(), end, number, base);
    }
  }();
  return parsed.ec == std::errc() && parsed.ptr == end && number >= 0;
}

bool ParseDelay(std::string_view text, Delay& delay) {
  delay.exponential = text.starts_with("exp:");
  text.remove_prefix(delay.exponential ? 4 : 0);
  return Parse(text, delay.mean) && (!delay.exponential || delay.mean > 0);
}

bool ParseAction(std::string_view name, std::optional<std::string_view> value, Rule& rule) {
  rule.action = name;
  if (name == "delay" || name == "take") {
    return value && ParseDelay(*value, rule.delay);
  }
  if (name == "fail" || name == "limit" || name == "flags") {
    return value && Parse(*value, rule.value);
  }
  constexpr std::array kPlain = {"hang", "flip", "swap", "crash", "dropped", "removed", "wedged", "renumber"};
  return !value && std::ranges::find(kPlain, name) != kPlain.end();
}

bool ParseOption(std::string_view name, std::optional<std::string_view> value, Rule& rule) {
  if (name == "spread") {
    return (rule.action == "delay" || rule.action == "take") && !rule.delay.exponential && value &&
           Parse(*value, rule.delay.spread);
  }
  return value && ((name == "skip" && Parse(*value, rule.skip)) || (name == "times" && Parse(*value, rule.times)));
}

// The first word of the line that is not understood; nothing when all are.
std::optional<std::string> Parse(const std::string& line, Rule& rule) {
  std::istringstream words(line);
  words >> rule.function;
  if (rule.function != "*" && !Functions().contains(rule.function)) {
    return rule.function;
  }
  std::string word;
  for (bool first = true; words >> word || first; first = false) {
    const std::string_view text = word;
    const auto equals = text.find('=');
    const auto value = equals == text.npos ? std::nullopt : std::optional(text.substr(equals + 1));
    if (!(first ? ParseAction : ParseOption)(text.substr(0, equals), value, rule)) {
      return word;
    }
  }
  return std::nullopt;
}

// True: the line is one of traits.h.
bool ParseTrait(const std::string& line, Traits& traits) {
  std::istringstream words(line);
  std::string word;
  std::string first;
  std::string second;
  words >> word >> first >> second;
  CK_ULONG numbers[2] = {0, 0};  // NOLINT(modernize-avoid-c-arrays)
  return Parse(first, numbers[0]) && (second.empty() || Parse(second, numbers[1])) &&
         traits.Add(word, numbers[0], numbers[1]);
}

// What holds for one call.
struct Taken {
  std::optional<Rule> rule;
  bool removed = false;
  bool renumber = false;

  bool Is(std::string_view action) const { return rule && rule->action == action; }
};

// The file of FAULTY_HSM_COUNTS. Belongs to one thread at a time.
class Counts {
 public:
  Counts() {
    const char* path = std::getenv("FAULTY_HSM_COUNTS");
    const int fd = path == nullptr ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, kMost * sizeof(Record)) != 0) {
      return;
    }
    void* mapped = mmap(nullptr, kMost * sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    records_ = mapped == MAP_FAILED ? nullptr : static_cast<Record*>(mapped);
  }

  void Add(std::string_view function, bool fault) {
    if (Record* const record = Find(function)) {
      std::atomic_ref(record->calls) += 1;
      std::atomic_ref(record->faults) += fault ? 1 : 0;
    }
  }

  void SetSessions(long count) {
    if (Record* const record = Find("sessions")) {
      std::atomic_ref(record->calls) = static_cast<std::uint64_t>(count);
    }
  }

 private:
  struct Record {
    std::array<char, 48> name;
    std::uint64_t calls;
    std::uint64_t faults;
  };
  static constexpr std::size_t kMost = 64;

  Record* Find(std::string_view name) {
    Record* const end = records_ + (records_ == nullptr ? 0 : kMost);
    Record* const record = std::find_if(
        records_, end, [&](const Record& other) { return other.name.front() == '\0' || name == other.name.data(); });
    if (record == end) {
      return nullptr;
    }
    name.copy(record->name.data(), record->name.size() - 1);
    return record;
  }

  Record* records_ = nullptr;
};

// What the control file says, and what became of it.
class Faults {
 public:
  Taken Take(std::string_view function) {
    const std::lock_guard lock(mutex_);
    auto taken = Match(function);
    counts_.Add(function, taken.rule.has_value());
    return taken;
  }

  // Of the caller's.
  long OpenSessions() {
    const std::lock_guard lock(mutex_);
    return sessions_;
  }
  void AddSessions(long more) {
    const std::lock_guard lock(mutex_);
    counts_.SetSessions(sessions_ += more);
  }
  void ForgetSessions() {
    const std::lock_guard lock(mutex_);
    counts_.SetSessions(sessions_ = 0);
  }

  Traits traits() {
    const std::lock_guard lock(mutex_);
    Read();
    return traits_;
  }

  bool Has(std::string_view action) {
    const std::lock_guard lock(mutex_);
    Read();
    return HasRead(action);
  }

 private:
  Taken Match(std::string_view function) {
    Read();
    Taken taken{.rule = {}, .removed = HasRead("removed"), .renumber = HasRead("renumber")};
    for (auto& rule : rules_) {
      if (!rule.Fits(function)) {
        continue;
      }
      if (rule.skip > 0) {
        --rule.skip;
        continue;
      }
      if (rule.times > 0) {
        --rule.times;
      }
      taken.rule = rule;
      break;
    }
    return taken;
  }

  bool HasRead(std::string_view action) const {
    return std::ranges::any_of(rules_, [&](const Rule& rule) { return rule.action == action; });
  }

  void Read() {
    const char* path = std::getenv("FAULTY_HSM_CONTROL");
    struct stat now{};
    if (path == nullptr || stat(path, &now) != 0) {
      rules_.clear();
      traits_ = {};
      known_ = {};
      return;
    }
    if (now.st_ino == known_.st_ino && now.st_mtim.tv_sec == known_.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == known_.st_mtim.tv_nsec) {
      return;
    }
    known_ = now;
    rules_.clear();
    traits_ = {};
    std::ifstream file(path);
    int number = 1;
    for (std::string line; std::getline(file, line); ++number) {
      if (line.empty() || line.starts_with('#') || ParseTrait(line, traits_)) {
        continue;
      }
      if (const auto wrong = Parse(line, rules_.emplace_back())) {
        std::fprintf(stderr, "faulty_hsm: %s:%d: '%s' is not understood\n", path, number, wrong->c_str());
        std::abort();
      }
    }
  }

  std::mutex mutex_;
  struct stat known_{};
  std::vector<Rule> rules_;
  Traits traits_;
  long sessions_ = 0;
  Counts counts_;
};

// Handles as the caller sees them are the real ones plus this.
constexpr CK_OBJECT_HANDLE kRenumbered = 1'000'000;

CK_FUNCTION_LIST* real = nullptr;
std::atomic<bool> was_removed = false;
std::atomic<bool> is_wedged = false;
std::atomic<CK_OBJECT_HANDLE> offset = 0;
std::atomic<bool> renumbering = false;
std::shared_mutex calling;  // SoftHSM does not stand that sessions are closed under a call

Faults& TheFaults() {
  static auto* faults = new Faults;  // outlives every thread
  return *faults;
}

void CloseSessions() {
  const std::unique_lock alone(calling);
  CK_ULONG count = 0;
  real->C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> slots(count);
  real->C_GetSlotList(CK_TRUE, slots.data(), &count);
  for (const auto slot : slots) {
    real->C_CloseAllSessions(slot);
  }
  TheFaults().ForgetSessions();
}

// The sessions and the login end with the token's absence, as they would with a card's.
void Remove() {
  if (!was_removed.exchange(true)) {
    CloseSessions();
  }
}

CK_RV Removed(std::string_view function) {
  if (function == "C_GetSlotList" || function == "C_GetInfo" || function == "C_CloseSession") {
    return CKR_OK;  // answered for itself
  }
  return function == "C_GetTokenInfo" || function == "C_OpenSession" || function == "C_GetMechanismInfo"
             ? CKR_TOKEN_NOT_PRESENT
             : CKR_DEVICE_REMOVED;
}

// What happens before the real call: an answer instead of it, or nothing. `taken` is left for what comes after it.
std::optional<CK_RV> Before(std::string_view function, Taken& taken) {
  taken = TheFaults().Take(function);
  if (is_wedged && function != "C_Finalize") {
    return CKR_DEVICE_ERROR;
  }
  if (taken.removed) {
    Remove();
    const auto answer = Removed(function);
    return function == "C_Initialize" || function == "C_Finalize" || answer == CKR_OK ? std::nullopt
                                                                                      : std::optional(answer);
  }
  was_removed = false;
  if (taken.renumber != renumbering.exchange(taken.renumber)) {
    offset += kRenumbered;
  }
  if (taken.Is("fail")) {
    return taken.rule->value;
  }
  if (taken.Is("wedged")) {
    is_wedged = true;
    return CKR_DEVICE_ERROR;
  }
  if (taken.Is("limit") && TheFaults().OpenSessions() >= static_cast<long>(taken.rule->value)) {
    return CKR_SESSION_COUNT;
  }
  if (taken.Is("dropped")) {
    CloseSessions();
  } else if (taken.Is("delay")) {
    std::this_thread::sleep_for(taken.rule->delay.Draw());
  } else if (taken.Is("hang")) {
    while (TheFaults().Has("hang")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  } else if (taken.Is("crash")) {
    std::_Exit(70);
  }
  return std::nullopt;
}

CK_OBJECT_HANDLE ToReal(CK_OBJECT_HANDLE seen) { return seen < offset ? CK_INVALID_HANDLE : seen - offset; }

// Another private key of the token than this one; itself when there is no other.
CK_OBJECT_HANDLE Other(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
  CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE pattern{CKA_CLASS, &object_class, sizeof object_class};
  std::array<CK_OBJECT_HANDLE, 16> found{};
  CK_ULONG count = 0;
  real->C_FindObjectsInit(session, &pattern, 1);
  real->C_FindObjects(session, found.data(), found.size(), &count);
  real->C_FindObjectsFinal(session);
  const auto* end = found.begin() + count;
  const auto* other = std::find_if(found.cbegin(), end, [&](auto handle) { return handle != key; });
  return other == end ? key : *other;
}

// What the rule answers, or what `call` does, which is told of a rule that comes after the real call.
template <typename Call>
CK_RV Faulty(std::string_view function, const Call& call) {
  const auto called = std::chrono::steady_clock::now();
  Taken taken;
  if (const auto answer = Before(function, taken)) {
    return *answer;
  }
  const auto rv = [&] {
    const std::shared_lock lock(calling);
    return call(taken);
  }();
  if (taken.Is("take")) {
    std::this_thread::sleep_until(called + taken.rule->delay.Draw());
  }
  return rv;
}

// Every function: the fault, or the real call.
template <auto Member, const char* Name>
struct Wrapped;
template <typename... A, CK_RV (*CK_FUNCTION_LIST::*Member)(A...), const char* Name>
struct Wrapped<Member, Name> {
  static CK_RV Call(A... arguments) {
    return Faulty(Name, [&](const Taken&) { return (real->*Member)(arguments...); });
  }
};

// Those that do more than the fault.
CK_RV Finalize(void* reserved) {
  return Faulty("C_Finalize", [&](const Taken&) {
    is_wedged = false;
    TheFaults().ForgetSessions();
    return real->C_Finalize(reserved);
  });
}

CK_RV GetSlotList(CK_BBOOL token_present, CK_SLOT_ID* slots, CK_ULONG* count) {
  return Faulty("C_GetSlotList", [&](const Taken& taken) {
    if (token_present != CK_FALSE && taken.removed) {
      *count = 0;
      return CKR_OK;
    }
    return real->C_GetSlotList(token_present, slots, count);
  });
}

CK_RV GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  return Faulty("C_GetTokenInfo", [&](const auto& taken) {
    const auto rv = real->C_GetTokenInfo(slot, info);
    info->flags |= rv == CKR_OK && taken.Is("flags") ? taken.rule->value : 0;
    return rv;
  });
}

CK_RV OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void* application, CK_NOTIFY notify, CK_SESSION_HANDLE* session) {
  return Faulty("C_OpenSession", [&](const Taken&) {
    const auto traits = TheFaults().traits();
    if (traits.read_only && (flags & CKF_RW_SESSION) == 0) {
      return *traits.read_only;
    }
    if (traits.sessions && TheFaults().OpenSessions() >= static_cast<long>(*traits.sessions)) {
      return CK_RV{CKR_SESSION_COUNT};
    }
    const auto rv = real->C_OpenSession(slot, flags, application, notify, session);
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

CK_RV FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE* objects, CK_ULONG most, CK_ULONG* count) {
  return Faulty("C_FindObjects", [&](const Taken&) {
    const auto rv = real->C_FindObjects(session, objects, most, count);
    std::for_each(objects, objects + (rv == CKR_OK ? *count : 0), [](auto& object) { object += offset; });
    return rv;
  });
}

CK_RV CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE* pattern, CK_ULONG count, CK_OBJECT_HANDLE* object) {
  return Faulty("C_CreateObject", [&](const Taken&) {
    if (const auto refused = TheFaults().traits().Refusal({pattern, count})) {
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
  return Faulty("C_GenerateKeyPair", [&](const Taken&) {
    const auto traits = TheFaults().traits();
    for (const auto& attributes :
         {std::span(public_pattern, public_count), std::span(private_pattern, private_count)}) {
      if (const auto refused = traits.Refusal(attributes)) {
        return *refused;
      }
    }
    const auto rv = real->C_GenerateKeyPair(session, mechanism, public_pattern, public_count, private_pattern,
                                            private_count, public_key, private_key);
    *public_key += rv == CKR_OK ? offset.load() : 0;
    *private_key += rv == CKR_OK ? offset.load() : 0;
    return rv;
  });
}

CK_RV DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  return Faulty("C_DestroyObject", [&](const Taken&) { return real->C_DestroyObject(session, ToReal(object)); });
}

CK_RV GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* pattern, CK_ULONG count) {
  return Faulty("C_GetAttributeValue", [&](const Taken&) {
    const auto rv = real->C_GetAttributeValue(session, ToReal(object), pattern, count);
    return TheFaults().traits().Show({pattern, count}, rv);
  });
}

// "copies_weaker": another key, which is as weak as asked for, and a session object.
CK_RV CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* pattern, CK_ULONG count,
                 CK_OBJECT_HANDLE* copy) {
  return Faulty("C_CopyObject", [&](const Taken&) {
    if (!TheFaults().traits().copies_weaker) {
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
    if (!TheFaults().traits().wraps_out || *size == 0) {
      return real->C_WrapKey(session, mechanism, ToReal(wrapping), ToReal(key), wrapped, size);
    }
    *size = 1;
    *wrapped = 1;
    return CK_RV{CKR_OK};
  });
}

CK_RV SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* pattern, CK_ULONG count) {
  return Faulty("C_SetAttributeValue", [&](const Taken&) {
    return TheFaults().traits().takes_flags ? CK_RV{CKR_OK}
                                            : real->C_SetAttributeValue(session, ToReal(object), pattern, count);
  });
}

CK_RV GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_ATTRIBUTE* pattern, CK_ULONG count,
                  CK_OBJECT_HANDLE* key) {
  return Faulty("C_GenerateKey", [&](const Taken&) {
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
    if (TheFaults().traits().without_signing.contains(mechanism->mechanism)) {
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
  WRAP(C_Initialize);
  WRAP(C_GetInfo);
  WRAP(C_GetSlotInfo);
  WRAP(C_GetMechanismList);
  WRAP(C_GetMechanismInfo);
  WRAP(C_CloseAllSessions);
  WRAP(C_GetSessionInfo);
  WRAP(C_Login);
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
  WRAP(Finalize);
  WRAP(GetSlotList);
  WRAP(GetTokenInfo);
  WRAP(OpenSession);
  WRAP(CloseSession);
  WRAP(FindObjects);
  WRAP(CreateObject);
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

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  static const bool wrapped = [] {
    const char* path = std::getenv("FAULTY_HSM_MODULE");
    void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const auto get =
        library == nullptr ? nullptr : reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
    if (get == nullptr || get(&real) != CKR_OK) {
      return false;
    }
    Wrap();
    return true;
  }();
  *list = &wrapper;
  return wrapped ? CKR_OK : CKR_GENERAL_ERROR;
}
