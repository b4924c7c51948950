#pragma once

#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

namespace faulty_hsm {

// The rules of a control file, one a line. The first that fits a call counts.
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
//   * idle                  the sessions have timed out: the trait "idle" is their answer until C_Finalize, which alone
//                           brings them back; a session can be opened and closed meanwhile
//   C_FindObjects renumber  object handles are others than before the file changed
//   C_OpenSession limit=K   CKR_SESSION_COUNT while K sessions are open
//   C_GetTokenInfo flags=F  the token shows these flags, too: 0x40000 its user PIN is locked
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
inline std::set<std::string, std::less<>>& Functions() {
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

inline bool ParseDelay(std::string_view text, Delay& delay) {
  delay.exponential = text.starts_with("exp:");
  text.remove_prefix(delay.exponential ? 4 : 0);
  return Parse(text, delay.mean) && (!delay.exponential || delay.mean > 0);
}

inline bool ParseAction(std::string_view name, std::optional<std::string_view> value, Rule& rule) {
  rule.action = name;
  if (name == "delay" || name == "take") {
    return value && ParseDelay(*value, rule.delay);
  }
  if (name == "fail" || name == "limit" || name == "flags") {
    return value && Parse(*value, rule.value);
  }
  constexpr std::array kPlain = {"hang", "flip", "swap", "crash", "dropped", "removed", "wedged", "idle", "renumber"};
  return !value && std::ranges::find(kPlain, name) != kPlain.end();
}

inline bool ParseOption(std::string_view name, std::optional<std::string_view> value, Rule& rule) {
  if (name == "spread") {
    return (rule.action == "delay" || rule.action == "take") && !rule.delay.exponential && value &&
           Parse(*value, rule.delay.spread);
  }
  return value && ((name == "skip" && Parse(*value, rule.skip)) || (name == "times" && Parse(*value, rule.times)));
}

// The first word of the line that is not understood; nothing when all are.
inline std::optional<std::string> Parse(const std::string& line, Rule& rule) {
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

}  // namespace faulty_hsm
