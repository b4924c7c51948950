#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/token.h"
#include "keys/schedule.h"

namespace assertion {

// Changes with the text.
void MixInto(std::size_t& seed, std::string_view text);

// Hashes of the objects on a token: they tell whether anything has changed since the token was last read.
class Inventory {
 public:
  explicit Inventory(const std::vector<ListedObject>& objects);

  std::size_t all() const { return all_; }

  // Changes with the objects that bear on the client's keys.
  std::size_t Of(const std::string& client_id, const Schedule& schedule) const;

 private:
  std::size_t all_ = 0;
  std::map<std::string, std::size_t, std::less<>> by_label_;
  std::map<Bytes, std::size_t> by_id_;
};

}  // namespace assertion
