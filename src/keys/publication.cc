#include "keys/publication.h"

#include <algorithm>
#include <span>
#include <vector>

#include "jws/jwk.h"

namespace assertion {
namespace {

constexpr std::size_t kMostPageOctets = std::size_t{50} * 1024 - 1;

std::string Render(const std::vector<const SigningKey*>& keys, Time now, bool with_certificates) {
  nlohmann::ordered_json set = {{"keys", nlohmann::ordered_json::array()}};
  for (const auto* key : keys) {
    // WSO2 takes x5c of RSA keys alone: of others it would refuse the key.
    const bool valid = with_certificates && CurveOf(key->public_key) == nullptr && !key->chain.empty() &&
                       key->chain.front().not_before <= now && now <= key->chain.front().not_after;
    set["keys"].push_back(
        jws::Jwk(key->public_key, *key->algorithm, valid ? std::span(key->chain) : std::span<const Certificate>()));
  }
  return set.dump();
}

}  // namespace

std::string JwkSet(const ClientKeys& keys, Time now) {
  std::vector<const SigningKey*> published;
  for (const auto& entry : keys.keys) {
    if (entry.record.PublishedAt(now) && entry.key) {
      const auto place = entry.record.SignsAt(now) ? published.begin() : published.end();
      published.insert(place, entry.key.get());
    }
  }
  auto text = Render(published, now, /*with_certificates=*/true);
  return text.size() <= kMostPageOctets ? text : Render(published, now, /*with_certificates=*/false);
}

}  // namespace assertion
