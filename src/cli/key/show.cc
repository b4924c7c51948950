// assertionctl key show

#include "cli/call.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/key/key_text.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

struct ShowKeyOptions {
  std::string client_id;
  std::string kid;
  bool json = false;
};

int ShowKey(const ShowKeyOptions& options, const std::string& server) {
  v1::GetKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Call(server, &Connection::GetKey, request, [&](const auto& response) {
    if (options.json) {
      auto json = KeyJson(response.key());
      json["custody"] = response.custody();
      return WriteJson(json);
    }
    return Write("", KeyText(response.key(), SystemTime()) + CustodyLines(response.custody()));
  });
}

}  // namespace

void AddKeyShow(Command& key) {
  const auto [verb, options] = key.AddVerb(
      {.name = "show",
       .summary = "Show everything about one key",
       .examples = "  assertionctl key show --client-id orders\n"
                   "  assertionctl key show --client-id orders --kid=h3Mkk8qC3hMeSBjHfAmBQBjXqGdi6Azqri1diWzpfYE"},
      ShowKey);
  AddClientId(verb, options.client_id);
  AddDefaultedKid(verb, options.kid);
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
