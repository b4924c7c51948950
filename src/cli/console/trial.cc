#include "cli/console/trial.h"

#include <system_error>
#include <utility>

namespace assertion::cli {

LoginTrial::LoginTrial(LoginRequest request, std::string server)
    : request_(std::move(request)), server_(std::move(server)) {
  try {
    thread_ = std::jthread([this](const std::stop_token& given_up) { Run(given_up); });
  } catch (const std::system_error& error) {
    TrialState ended{.stage = TrialState::Stage::kEnded};
    ended.record.failure = "this process may start no more threads: " + error.code().message();
    Show(std::move(ended));
  }
}

void LoginTrial::GiveUp() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
}

TrialState LoginTrial::Now() const {
  const MutexLock lock(mutex_);
  return state_;
}

void LoginTrial::Show(TrialState state) {
  const MutexLock lock(mutex_);
  state_ = std::move(state);
}

void LoginTrial::Run(const std::stop_token& given_up) {
  TrialState ended{.stage = TrialState::Stage::kEnded};
  {
    Login login(request_, server_, given_up);
    const auto outcome = Go(login);
    ended.record = login.Record();
    if (!outcome && given_up.stop_requested()) {
      ended.record.failure = "it was given up";
    } else if (!outcome) {
      ended.next = outcome.error().next;
    }
  }
  Show(std::move(ended));
}

LoginResult LoginTrial::Go(Login& login) {
  auto url = login.Begin();
  if (!url) {
    return std::unexpected(std::move(url).error());
  }
  Show({.stage = TrialState::Stage::kWaiting, .url = *std::move(url), .until = SystemTime() + request_.timeout});
  if (auto came = login.Await(); !came) {
    return came;
  }
  Show({.stage = TrialState::Stage::kExchanging});
  return login.Finish();
}

}  // namespace assertion::cli
