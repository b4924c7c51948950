#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "assertion/error.h"
#include "assertion/mutex.h"

namespace assertion::service {

// How many calls of our services each connection has at work. gRPC 1.51 holds only those clients to its limit of 100
// streams on a connection that acknowledge its settings; one that does not could open thousands, which delay the calls
// of everybody. A stop ends the connections that have none.
// All methods may be called from any thread.
class OpenCalls {
 public:
  // More than gRPC's limit: the place of a call is given back a moment after its client has seen the answer.
  static constexpr std::size_t kMostOfOne = 256;

  // A call of a connection, until it is destroyed.
  class Place {
   public:
    // `connection` is gRPC's name for the peer, which no other connection of the process has.
    Place(OpenCalls& calls, std::string connection);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // RESOURCE_EXHAUSTED, with a retry delay, if the connection had kMostOfOne others. Asked before the caller's name
    // is looked for.
    Status CheckLimit() const;

   private:
    OpenCalls& calls_;
    const std::string connection_;
    bool within_limit_ = false;
  };

  bool HasAny(const std::string& connection) const;

  // The calls of all servers of this process.
  static OpenCalls& OfProcess();

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::size_t, std::less<>> open_ GUARDED_BY(mutex_);
};

}  // namespace assertion::service
