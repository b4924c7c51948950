#include "cli/console/session.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "assertion/bytes.h"
#include "jws/base64url.h"

namespace assertion::cli {
namespace {

constexpr std::size_t kSecretOctets = 32;
constexpr std::size_t kRandomOctetsOfHost = 3;
constexpr int kMostOfOctet = 254;
constexpr std::chrono::hours kLongest{8};

// Takes as long for every wrong secret.
bool IsSame(std::string_view given, const std::string& secret) {
  return given.size() == secret.size() && CRYPTO_memcmp(given.data(), secret.data(), secret.size()) == 0;
}

std::string LoopbackHost(const Bytes& octets) {
  std::string host = "127";
  for (const auto octet : octets) {
    host.append(".").append(std::to_string(1 + octet % kMostOfOctet));  // no network's own address, and no broadcast
  }
  return host;
}

}  // namespace

Result<ConsoleSession> ConsoleSession::New(const Random& random, std::chrono::seconds idle, Moment now) {
  ConsoleSession session(idle, now);
  for (auto* random_text : {&session.entrance_, &session.cookie_, &session.place_, &session.form_, &session.host_}) {
    const bool is_host = random_text == &session.host_;
    Bytes octets(is_host ? kRandomOctetsOfHost : kSecretOctets);
    if (!random(octets)) {
      return Fail(Code::kInternal, "the random number generator failed");
    }
    *random_text = is_host ? LoopbackHost(octets) : jws::Base64UrlEncode(octets);
  }
  return session;
}

bool ConsoleSession::Enter(std::string_view secret, Moment now) {
  if (entered_ || now >= end() || !IsSame(secret, entrance_)) {
    return false;
  }
  entered_ = true;
  began_ = used_ = now;
  return true;
}

bool ConsoleSession::Continue(std::string_view cookies, const std::string& cookie_name, Moment now) {
  if (!entered_ || now >= end()) {
    return false;
  }
  const auto wanted = cookie_name + "=";
  bool found = false;
  while (!cookies.empty()) {  // other servers of this host may have set cookies of the same name
    const auto pair = cookies.substr(0, cookies.find(';'));
    cookies.remove_prefix(std::min(pair.size() + 1, cookies.size()));
    const auto trimmed = pair.substr(std::min(pair.find_first_not_of(' '), pair.size()));
    found = (trimmed.starts_with(wanted) && IsSame(trimmed.substr(wanted.size()), cookie_)) || found;
  }
  if (found) {
    used_ = now;
  }
  return found;
}

bool ConsoleSession::IsForm(std::string_view secret) const { return IsSame(secret, form_); }

ConsoleSession::Moment ConsoleSession::end() const { return std::min(used_ + idle_, began_ + kLongest); }

}  // namespace assertion::cli
