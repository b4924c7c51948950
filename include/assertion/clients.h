#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "assertion/client.h"

namespace assertion {

// The clients of one configuration, in its order. Copies share them, so 10,000 clients are in memory once for the
// policy and the keys of every HSM.
class Clients {
 public:
  Clients() = default;
  Clients(std::vector<Client> clients)  // NOLINT(google-explicit-constructor): a list of clients is nothing else
      : clients_(std::make_shared<const std::vector<Client>>(std::move(clients))) {}
  Clients(std::initializer_list<Client> clients) : Clients(std::vector<Client>(clients)) {}

  const Client* begin() const { return clients_->data(); }
  const Client* end() const { return clients_->data() + clients_->size(); }
  std::size_t size() const { return clients_->size(); }
  const Client& front() const { return clients_->front(); }
  const Client& back() const { return clients_->back(); }

  // Null when there is none with this client_id; lives as long as a copy of these clients.
  const Client* Find(std::string_view client_id) const {
    const auto* const found = std::ranges::find(*this, client_id, &Client::client_id);
    return found == end() ? nullptr : found;
  }

 private:
  std::shared_ptr<const std::vector<Client>> clients_ = std::make_shared<const std::vector<Client>>();
};

}  // namespace assertion
