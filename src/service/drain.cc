#include "service/drain.h"

#include <condition_variable>
#include <thread>

#include "assertion/mutex.h"

namespace assertion::service {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAnswerTime{500};  // a client that reads has answered by then
constexpr milliseconds kBetweenLooks{50};

}  // namespace

void Drain(grpc::Server& server, std::chrono::system_clock::time_point deadline,
           const std::function<void()>& end_idle) {
  const std::jthread ending([&end_idle](const std::stop_token& stop) {
    Mutex mutex;
    MutexLock lock(mutex);
    std::condition_variable_any waiting;
    for (auto wait = kAnswerTime; !waiting.wait_for(lock, stop, wait, [&stop] { return stop.stop_requested(); });
         wait = kBetweenLooks) {
      end_idle();
    }
  });
  server.Shutdown(deadline);
  server.Wait();
}

}  // namespace assertion::service
