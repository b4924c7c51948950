#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "assertion/error.h"

namespace assertion::oauth {

// The addresses of hosts, as this machine's name service knows them. getaddrinfo cannot be interrupted, and a name
// service that does not answer can hold it for ever. So each look-up has a thread of its own, which is left behind when
// nobody waits for it any more: it owns all that it touches. All who want the same name at the same time share one
// look-up. The metadata of an issuer choose names, too, so the number of look-ups is bounded.
class AddressBook {
 public:
  static constexpr std::size_t kMostLookUps = 128;

  using Addresses = std::vector<std::string>;                        // numeric, in the order in which they are tried
  using LookUp = std::function<Addresses(const std::string& host)>;  // empty: there is no such host

  // Asks getaddrinfo.
  AddressBook();
  explicit AddressBook(LookUp look_up);

  // UNAVAILABLE: there is no such host, or no answer until `end`, or nobody waits any more, or too many look-ups are
  // under way. Throws std::system_error when the system gives no thread.
  Result<Addresses> Find(const std::string& host, std::chrono::steady_clock::time_point end,
                         const std::stop_token& given_up);

 private:
  struct State;

  std::shared_ptr<State> state_;  // the threads own it as well
};

}  // namespace assertion::oauth
