#include "keys/inventory.h"

#include <functional>

namespace assertion {
namespace {

// Changes with the object and with what the token lists of it.
std::size_t HashOf(const ListedObject& object) {
  std::size_t hash = static_cast<std::size_t>(object.kind) * 2 + (object.is_private ? 1 : 0);
  MixInto(hash, std::to_string(object.handle.value) + "," + std::to_string(object.handle.epoch));
  MixInto(hash, object.label);
  MixInto(hash, std::string_view(reinterpret_cast<const char*>(object.id.data()), object.id.size()));
  return hash;
}

}  // namespace

void MixInto(std::size_t& seed, std::string_view text) {
  constexpr std::size_t kOdd = 0x9E3779B97F4A7C15U;
  seed ^= std::hash<std::string_view>()(text) + kOdd + (seed << 6U) + (seed >> 2U);
}

Inventory::Inventory(const std::vector<ListedObject>& objects) {
  for (const auto& object : objects) {
    const auto hash = HashOf(object);  // summed, because a token lists in any order
    all_ += hash;
    if (object.kind != ObjectKind::kData) {
      by_label_[object.label] += hash;
      by_id_[object.id] += hash;
    }
  }
}

std::size_t Inventory::Of(const std::string& client_id, const Schedule& schedule) const {
  const auto labelled = by_label_.find(client_id);
  std::size_t sum = labelled == by_label_.end() ? 0 : labelled->second;
  for (const auto& record : schedule) {
    const auto found = by_id_.find(record.id);
    sum += found == by_id_.end() ? 0 : found->second;
  }
  return sum;
}

}  // namespace assertion
