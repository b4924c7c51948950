#include "cli/console/door.h"

#include <cstdio>
#include <utility>

#include "cli/console/page.h"
#include "cli/console/style.h"
#include "cli/oidc/redirect_query.h"

namespace assertion::cli {
namespace {

LoopbackAnswer Refusal(const char* status, const std::string& text) {
  return {.status = status, .type = "text/plain; charset=utf-8", .body = "assertionctl console: " + text + "\n"};
}

}  // namespace

ConsoleDoor::ConsoleDoor(ConsoleSession session, std::uint16_t port)
    : session_(std::move(session)), cookie_name_("assertiond_console_" + std::to_string(port)) {}

LoopbackAnswer ConsoleDoor::Enter(const LoopbackRequest& request, ConsoleSession::Moment now) {
  const auto fields = QueryOf(request.query);
  const bool was_used = session_.entered();
  if (!fields || !session_.Enter(FieldOf(*fields, "secret"), now)) {
    if (was_used && fields && FieldOf(*fields, "secret") == session_.entrance()) {
      std::fputs("The address was opened a second time, which is refused. If you opened it only once, press Ctrl-C.\n",
                 stderr);
      return Refusal("403 Forbidden",
                     "this address was used already, and each is good for one time. If it was not you, press Ctrl-C "
                     "where assertionctl console runs. For a new address start it again");
    }
    return Refusal("403 Forbidden", "this address is of another console, or wrong. Open the one that was printed last");
  }
  auto answer = LoopbackAnswer{.body = EntrancePage(session_.place())};
  // No Secure: browsers take it on plain HTTP to loopback or not, each as it likes.
  answer.fields = {"Set-Cookie: " + cookie_name_ + "=" + session_.cookie() + "; Path=/" + session_.place() +
                   "/; HttpOnly; SameSite=Strict"};
  return answer;
}

std::string ConsoleDoor::WrongOf(const LoopbackRequest& request) const {
  if (request.Field("origin") != "http://" + std::string(request.Field("host"))) {
    return "a form must come from a page of this console (Origin)";
  }
  const auto type = request.Field("content-type");
  if (type.substr(0, type.find(';')) != "application/x-www-form-urlencoded") {
    return "a form must be application/x-www-form-urlencoded";
  }
  const auto fields = QueryOf(request.body);
  if (!fields || request.has_query) {
    return "a form must be well-formed, without a repeated field, and without a query in its address";
  }
  return session_.IsForm(FieldOf(*fields, "form")) ? "" : "this form is not of this session. Load the page again";
}

std::variant<ConsoleVisit, LoopbackAnswer> ConsoleDoor::Admit(const LoopbackRequest& request,
                                                              ConsoleSession::Moment now) {
  const bool changes = request.method == "POST";
  if (!changes && request.method != "GET") {
    return Refusal("405 Method Not Allowed", "GET and POST are the only methods");
  }
  if (!changes && request.path == "/enter") {
    return Enter(request, now);
  }
  // Fetch Metadata: what another site's page causes, a frame included, is "cross-site" or "same-site".
  const auto site = request.Field("sec-fetch-site");
  if (!site.empty() && site != "none" && site != "same-origin") {
    return Refusal("403 Forbidden",
                   "another page sent the browser here. Type the address, or use a link of the console");
  }
  if (!session_.Continue(request.Field("cookie"), cookie_name_, now)) {
    return Refusal("403 Forbidden",
                   "open the one-time address that was printed. If you did, the session has ended: "
                   "start assertionctl console again");
  }
  const auto place = "/" + session_.place() + "/";
  if (!request.path.starts_with(place)) {
    return Refusal("404 Not Found", "there is no such page");
  }
  if (const auto wrong = changes ? WrongOf(request) : ""; !wrong.empty()) {
    return Refusal("403 Forbidden", wrong);
  }
  if (!changes && request.path == place + kStylePath) {  // not at an address that another server may have had before
    return LoopbackAnswer{.type = "text/css; charset=utf-8", .body = kConsoleStyle};
  }
  auto fields = QueryOf(changes ? request.body : request.query);
  if (!fields) {
    return Refusal("400 Bad Request", "the address is malformed or repeats a parameter");
  }
  return ConsoleVisit{.changes = changes, .path = request.path.substr(place.size()), .fields = *std::move(fields)};
}

}  // namespace assertion::cli
