#include "cli/console/login.h"

#include <chrono>
#include <utility>

#include "cli/console/login_part.h"
#include "cli/console/page.h"
#include "cli/oidc/redirect_query.h"

namespace assertion::cli {
namespace {

// A trial that is given up ends at once, but for a call to assertiond.
constexpr std::chrono::seconds kServerAnswers{10};

}  // namespace

LoopbackAnswer ConsoleLogin::Answer(const ConsoleVisit& visit) {
  return visit.changes ? Change(visit.fields) : Page(visit.fields);
}

LoopbackAnswer ConsoleLogin::Page(const oauth::FormFields& query) const {
  const auto& fields = query.empty() ? tried_ : query;
  const auto state = trial_ ? trial_->Now() : TrialState{.stage = TrialState::Stage::kEnded};
  const bool runs = state.stage != TrialState::Stage::kEnded;
  auto answer = ConsolePage(session_.place(), "Try a log-in",
                            (trial_ ? TrialPart(state, session_) : "") + (runs ? "" : LoginForm(fields, session_)) +
                                LoginCommand(fields, server_, ca_file_));
  if (runs) {
    answer.fields.emplace_back("Refresh: 2");  // there is no script; the trial's end is the end of this, too
  }
  return answer;
}

LoopbackAnswer ConsoleLogin::Change(const oauth::FormFields& form) {
  const auto wanted = FieldOf(form, "do");
  if (wanted == "give-up") {
    if (trial_) {
      trial_->GiveUp();
    }
    return BackTo({});
  }
  const auto fields = LoginFields(form);
  if (wanted != "log-in") {
    return BackTo(fields);  // shows the command
  }
  if (FieldOf(fields, "client_id").empty() || FieldOf(fields, "issuer").empty()) {
    auto answer = ConsolePage(session_.place(), "Not tried", Paragraph("A client id and an issuer are needed.", "bad"));
    answer.status = "400 Bad Request";
    return answer;
  }
  tried_ = fields;
  auto request = LoginRequestOf(fields);
  request.ca_file = ca_file_;
  request.limits.call = kServerAnswers;
  trial_.emplace(std::move(request), server_);  // ends the one before first: both may want the same port
  return BackTo({});
}

// A page that is loaded again sends no form again.
LoopbackAnswer ConsoleLogin::BackTo(const oauth::FormFields& query) const {
  const auto text = oauth::EncodeForm(query);
  return {.status = "303 See Other",
          .body = {},
          .fields = {"Location: /" + session_.place() + "/login" + (text.empty() ? "" : "?" + text)}};
}

}  // namespace assertion::cli
