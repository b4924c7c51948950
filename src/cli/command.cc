#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <utility>

#include "cli/text.h"

namespace assertion::cli {

int Report(int status, const std::string& what, const std::string& next) {
  std::fprintf(stderr, "assertionctl: %s\n", Printable(what).c_str());
  if (!next.empty()) {
    std::fprintf(stderr, "  next: %s\n", next.c_str());
  }
  return status;
}

int ReportFile(const Error& error) { return Report(kFile, error.ToString(), "name a file that can be used"); }

int Write(const std::string& path, std::string_view text) {
  return WriteOctets(path, path.empty() ? PrintableLines(text) : std::string(text));
}

int WriteOctets(const std::string& path, std::string_view octets) {
  const auto written = WriteText(path, octets);
  return written ? 0 : ReportFile(written.error());
}

CLI::App* AddNoun(CLI::App& app, const char* name, const char* description) {
  auto* noun = app.add_subcommand(name, description)->require_subcommand(1)->fallthrough();
  return noun;
}

CLI::App* AddVerb(CLI::App* noun, const char* name, const char* description, const std::string& examples, int& status,
                  std::function<int()> run) {
  auto* verb = noun->add_subcommand(name, description)->fallthrough();
  verb->footer("Examples:\n" + examples);
  verb->callback([&status, run = std::move(run)] { status = run(); });
  return verb;
}

void AddClientId(CLI::App* verb, Options& options) {
  verb->add_option("--client-id", options.client_id, "The OAuth 2.0 client")->required()->type_name("ID");
}

void AddJson(CLI::App* verb, Options& options) { verb->add_flag("--json", options.json, "Print JSON"); }

void AddOut(CLI::App* verb, Options& options) {
  verb->add_option("--out", options.out, "Write there instead of standard output")->type_name("FILE");
}

void AddCaFile(CLI::App* verb, std::string& ca_file) {
  verb->add_option("--ca-file", ca_file, "PEM certificates to trust instead of the system's")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
}

void AddTokenEndpoint(CLI::App* verb, TokenRequest& token) {
  verb->add_option("--token-endpoint", token.token_endpoint, "https://… (http:// for loopback hosts only)")
      ->required()
      ->type_name("URL");
  verb->add_option("--scope", token.scope, "Scopes, separated by blanks; default: none sent")->type_name("SCOPE");
}

}  // namespace assertion::cli
