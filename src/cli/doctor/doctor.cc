// assertionctl doctor

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>

#include "assertion/client.h"
#include "assertion/clock.h"
#include "cli/command.h"
#include "cli/doctor/diagnosis.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "config/config.h"

namespace assertion::cli {
namespace {

struct DoctorOptions {
  std::string config;
  std::string client_id;
  bool remove_orphans = false;
  std::string force_client_id;
  bool tries = false;
  bool json = false;
};

int RunDoctor(const DoctorOptions& options) {
  const auto config = ReadConfig(options.config);
  if (!config) {
    for (const auto& error : config.error()) {
      std::fprintf(stderr, "assertionctl: %s\n", error.c_str());
    }
    return kFile;
  }
  if (options.remove_orphans && options.client_id != kTrialKeyLabel &&
      std::ranges::find(config->clients, options.client_id, &Client::client_id) == config->clients.end()) {
    return Report(kRefused, "no client " + options.client_id + " is configured", "correct --client-id");
  }
  const bool forced = !options.force_client_id.empty();
  if (forced && options.force_client_id != options.client_id) {
    return Report(kUsage, "--force must repeat the client id", "assertionctl doctor --help");
  }
  const auto findings =
      Diagnose(*config, SystemTime(),
               {.removal = {.client_id = options.remove_orphans ? options.client_id : "", .without_ledger = forced},
                .tries = options.tries});
  std::string notes;
  for (const auto& warning : config->warnings) {
    notes += "note   " + warning + "\n";
  }
  const int status = options.json ? WriteJson(FindingsJson(findings)) : Write("", notes + FindingsText(findings));
  return status != 0 || AllOk(findings) ? status : kRefused;
}

}  // namespace

void AddDoctor(Command& assertionctl) {
  const auto [verb, options] = assertionctl.AddVerb(
      {.name = "doctor",
       .summary = "Check module, token, login, keys and certificates; needs no server",
       .examples =
           "  assertionctl doctor --config /etc/assertiond/assertiond.json\n"
           "  assertionctl doctor --config /etc/assertiond/assertiond.json --try --json\n"
           "  assertionctl doctor --config /etc/assertiond/assertiond.json --remove-orphans --client-id orders"},
      RunDoctor);
  verb->add_option("--config", options.config, "assertiond's configuration")->required()->type_name("FILE");
  verb->add_flag("--try", options.tries,
                 "Also use each HSM with throw-away objects: for each configured algorithm, try every way to get a key "
                 "out, then make a key pair, sign, verify, read back and destroy it; store and destroy a data object; "
                 "measure a signature; open as many sessions as the server. Safe beside a running server; the report "
                 "holds no secret");
  auto* client_id =
      verb->add_option("--client-id", options.client_id,
                       "Client whose orphans are removed; assertiond-trial: what an interrupted trial left")
          ->type_name("ID");
  auto* remove = verb->add_flag("--remove-orphans", options.remove_orphans,
                                "Destroy, permanently, the client's objects on the token that no ledger names; without "
                                "this flag doctor only lists them")
                     ->needs(client_id);
  client_id->needs(remove);
  verb->add_option("--force", options.force_client_id,
                   "Confirm by repeating the client id. Required when the client has no ledger, because the objects "
                   "may then be keys of another installation")
      ->needs(remove)
      ->type_name("CLIENT-ID");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
