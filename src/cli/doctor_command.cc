// assertionctl doctor.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/clock.h"
#include "cli/command.h"
#include "cli/doctor.h"
#include "config/config.h"

namespace assertion::cli {
namespace {

int RunDoctor(const Options& options) {
  const auto config = ReadConfig(options.config);
  if (!config) {
    for (const auto& error : config.error()) {
      std::fprintf(stderr, "assertionctl: %s\n", error.c_str());
    }
    return kFile;
  }
  const auto& client_id = options.client_id;
  if (options.remove_orphans &&
      std::ranges::find(config->clients, client_id, &Client::client_id) == config->clients.end()) {
    return Report(kRefused, "no client " + client_id + " is configured", "correct --client-id");
  }
  const auto& forced = options.change.force_client_id;
  if (!forced.empty() && forced != client_id) {
    return Report(kUsage, "--force must be the client id once more", "assertionctl doctor --help");
  }
  const auto findings = Diagnose(
      *config, SystemTime(), {.client_id = options.remove_orphans ? client_id : "", .without_ledger = !forced.empty()});
  std::string lines;
  for (const auto& warning : config->warnings) {
    lines += "note   " + warning + "\n";
  }
  constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
  const int status = Write(
      "", options.json ? FindingsJson(findings).dump(2, ' ', false, kReplace) + "\n" : lines + FindingsText(findings));
  return status != 0 || AllOk(findings) ? status : kRefused;
}

}  // namespace

void AddDoctor(CLI::App& app, Options& options, int& status) {
  auto* doctor =
      app.add_subcommand("doctor", "Check module, token, login, keys and certificates; needs no server")->fallthrough();
  doctor->footer(
      "Examples:\n  assertionctl doctor --config /etc/assertiond/assertiond.json\n"
      "  assertionctl doctor --config /etc/assertiond/assertiond.json --remove-orphans --client-id orders");
  doctor->add_option("--config", options.config, "assertiond's configuration")->required()->type_name("FILE");
  auto* client_id = doctor->add_option("--client-id", options.client_id, "Whose orphans")->type_name("ID");
  auto* remove = doctor
                     ->add_flag("--remove-orphans", options.remove_orphans,
                                "Destroy, for ever, what is on the token under this client's name and in no ledger; "
                                "without it they are only named")
                     ->needs(client_id);
  client_id->needs(remove);
  doctor
      ->add_option("--force", options.change.force_client_id,
                   "The client id once more: though the client has no ledger at all, so that they may be keys of "
                   "another installation")
      ->needs(remove)
      ->type_name("CLIENT-ID");
  AddJson(doctor, options);
  doctor->callback([&options, &status] { status = RunDoctor(options); });
}

}  // namespace assertion::cli
