#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "policy/rate_limit.h"
#include "service/busy_slices.h"
#include "service/peer_bans.h"

namespace assertion::service {

// What a user that the configuration does not list may cost the HTTP front: as many new connections a second as on the
// gRPC socket (RateOfStrangers) and as much of the listener's time (BusySlices). A user that takes too much time is
// refused for a while (PeerBans). Listed users are not limited here. Belongs to one thread.
class Strangers {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // `listed`: whether the configuration lists a peer, for example "uid:1000".
  Strangers(std::size_t per_peer, std::function<bool(const std::string& peer)> listed);

  bool IsListed(uid_t user) const;

  // A connection of the user has come. False: close it.
  bool LetIn(uid_t user, Instant now);

  // The listener works for the user now. False: the user has used up its time, end the connection.
  bool Charge(uid_t user, Instant now);

 private:
  const std::function<bool(const std::string& peer)> listed_;
  RateLimit coming_;
  BusySlices slices_;
  PeerBans bans_;
};

}  // namespace assertion::service
