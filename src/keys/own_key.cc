#include "keys/own_key.h"

#include <algorithm>
#include <string>
#include <utility>

#include "keys/machine_lock.h"

namespace assertion {
namespace {

constexpr std::size_t kIdOctets = 16;

bool IsUnfit(const TokenKey& key) { return key.flaw || !std::ranges::all_of(key.attributes, &KeyAttribute::ok); }

Result<TokenKey> Generate(Token& token, std::string_view label, const Random& random) {
  Bytes id(kIdOctets);
  if (!random(id)) {
    return Fail(Code::kInternal, "no random octets for a CKA_ID", "RAND_bytes");
  }
  const auto& algorithm = kAlgorithms.front();
  return token.GenerateKeyPair({.label = std::string(label),
                                .id = std::move(id),
                                .algorithm = &algorithm,
                                .bits = algorithm.default_key_bits()});
}

}  // namespace

Result<std::vector<TokenKey>> FindOwnKeys(Token& token, std::string_view label) {
  auto contents = token.Read({std::string(label)});
  if (!contents) {
    return std::unexpected(contents.error());
  }
  std::erase_if(contents->keys, IsUnfit);
  std::ranges::sort(contents->keys, {}, &TokenKey::id);
  return std::move(contents->keys);
}

Result<TokenKey> FindOrGenerateOwnKey(Token& token, std::string_view label, const Random& random) {
  const auto lock = MachineLock::TakeFor(token);
  const auto found = lock ? FindOwnKeys(token, label) : std::unexpected(lock.error());
  if (!found) {
    return std::unexpected(found.error());
  }
  return found->empty() ? Generate(token, label, random) : Result<TokenKey>(found->front());
}

Result<TokenKey> GenerateOwnKey(Token& token, std::string_view label, const Random& random) {
  const auto lock = MachineLock::TakeFor(token);
  const auto found = lock ? FindOwnKeys(token, label) : std::unexpected(lock.error());  // a look before the change
  return found ? Generate(token, label, random) : std::unexpected(found.error());
}

}  // namespace assertion
