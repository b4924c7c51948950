#include "oauth/addresses.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "assertion/mutex.h"

namespace assertion::oauth {
namespace {

AddressBook::Addresses AskNameService(const std::string& host) {
  const addrinfo hints{.ai_flags = 0,
                       .ai_family = AF_UNSPEC,
                       .ai_socktype = SOCK_STREAM,
                       .ai_protocol = 0,
                       .ai_addrlen = 0,
                       .ai_addr = nullptr,
                       .ai_canonname = nullptr,
                       .ai_next = nullptr};
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) {
    return {};
  }
  AddressBook::Addresses addresses;
  for (const auto* one = found; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0 &&
        std::ranges::find(addresses, text.data()) == addresses.end()) {
      addresses.emplace_back(text.data());
    }
  }
  freeaddrinfo(found);
  return addresses;
}

}  // namespace

struct AddressBook::State {
  struct Asked {
    std::optional<Addresses> answer;
  };

  LookUp look_up;
  Mutex mutex;
  std::condition_variable_any answered;
  std::map<std::string, std::shared_ptr<Asked>> under_way GUARDED_BY(mutex);  // by host
};

AddressBook::AddressBook() : AddressBook(AskNameService) {}

AddressBook::AddressBook(LookUp look_up) : state_(std::make_shared<State>()) { state_->look_up = std::move(look_up); }

Result<AddressBook::Addresses> AddressBook::Find(const std::string& host, std::chrono::steady_clock::time_point end,
                                                 const std::stop_token& given_up) {
  MutexLock lock(state_->mutex);
  if (state_->under_way.size() >= kMostLookUps && !state_->under_way.contains(host)) {
    return Fail(Code::kUnavailable, "this machine's name service does not answer, and too many names wait for it");
  }
  auto& under_way = state_->under_way[host];
  if (under_way == nullptr) {
    under_way = std::make_shared<State::Asked>();
    try {
      std::thread([state = state_, host] {
        auto answer = state->look_up(host);
        const MutexLock answering(state->mutex);
        const auto asked = state->under_way.extract(host);
        asked.mapped()->answer = std::move(answer);
        state->answered.notify_all();
      }).detach();
    } catch (...) {
      state_->under_way.erase(host);
      throw;
    }
  }
  const auto asked = under_way;
  const bool is_answered =
      state_->answered.wait_until(lock, given_up, end, [&asked] { return asked->answer.has_value(); });
  if (!is_answered) {
    return Fail(Code::kUnavailable, given_up.stop_requested() ? "the program stops"
                                                              : "this machine's name service does not answer in time");
  }
  return asked->answer->empty() ? Fail(Code::kUnavailable, "this machine finds no host of that name")
                                : Result<Addresses>(*asked->answer);
}

}  // namespace assertion::oauth
