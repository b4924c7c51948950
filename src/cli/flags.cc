#include "cli/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>
#include <vector>

#include "cli/yaml.h"
#include "config/text.h"

namespace assertion::cli {

CLI::Validator OneOf(std::initializer_list<const char*> words) {
  const std::vector<std::string> allowed(words.begin(), words.end());
  const auto refuse = [allowed](const std::string& word) -> std::string {
    return std::ranges::find(allowed, word) != allowed.end()
               ? ""
               : "\"" + word + "\" is none of: " + CLI::detail::join(allowed, ", ") +
                     DidYouMean(word, std::vector<std::string_view>(allowed.begin(), allowed.end()));
  };
  return {refuse, "{" + CLI::detail::join(allowed, ",") + "}"};
}

void AddClientId(CLI::App* verb, std::string& client_id) {
  verb->add_option("--client-id", client_id, "The OAuth 2.0 client")->required()->type_name("ID");
}

void AddJson(CLI::App* verb, bool& json) {
  auto* flag = verb->add_flag("--json", json, "Print JSON");
  const auto choose = [&json](const std::string& form) {
    json = form != "table";
    SetDocumentForm(form == "yaml" ? DocumentForm::kYaml : DocumentForm::kJson);
  };
  verb->add_option_function<std::string>("-o,--output", choose, "Print JSON, YAML, or the text for a person (default)")
      ->check(OneOf({"json", "yaml", "table"}))
      ->type_name("FORM")
      ->excludes(flag);
}

void AddRequiredKid(CLI::App* verb, std::string& kid) {
  verb->add_option("--kid", kid,
                   "Id of the key, or at least its first 6 characters; write one that begins with a hyphen as --kid=-…")
      ->required()
      ->type_name("KID");
}

CLI::Option* AddDefaultedKid(CLI::App* verb, std::string& kid) {
  return verb
      ->add_option("--kid", kid,
                   "Id of the key, or at least its first 6 characters; write one that begins with a hyphen as "
                   "--kid=-…; default: the key that signs now")
      ->type_name("KID");
}

void AddOut(CLI::App* verb, std::string& path) {
  verb->add_option("--out", path, "Write to this file instead of standard output")->type_name("FILE");
}

void AddCaFile(CLI::App* verb, std::string& path) {
  verb->add_option("--ca-file", path, "PEM certificates to trust instead of the system's")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
}

void AddTokenEndpoint(CLI::App* verb, oauth::TokenRequest& token) {
  verb->add_option("--token-endpoint", token.token_endpoint,
                   "The identity server's token endpoint, https://… (http:// for loopback hosts only)")
      ->required()
      ->type_name("URL");
  verb->add_option("--scope", token.scope, "Scopes, separated by blanks; default: none sent")->type_name("SCOPE");
}

}  // namespace assertion::cli
