// assertionctl doctor

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/client.h"
#include "assertion/clock.h"
#include "cli/command.h"
#include "cli/doctor/diagnosis.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "config/config.h"
#include "config/text.h"

namespace assertion::cli {
namespace {

struct DoctorOptions {
  std::string config;
  std::string client_id;
  bool remove_orphans = false;
  std::string force_client_id;
  bool tries = false;
  bool verbose = false;
  bool json = false;
};

// What is wrong with --client-id; empty: nothing.
std::string UnknownClient(const Config& config, const DoctorOptions& options) {
  std::vector<std::string_view> known;
  known.reserve(config.clients.size());
  for (const auto& client : config.clients) {
    known.emplace_back(client.client_id);
  }
  const bool is_known = options.client_id.empty() || std::ranges::find(known, options.client_id) != known.end() ||
                        (options.remove_orphans && options.client_id == kTrialKeyLabel);
  return is_known ? "" : "no client " + options.client_id + " is configured" + DidYouMean(options.client_id, known);
}

// The summary, then the lines. What a removal did is always told.
std::string DiagnosisText(const DoctorOptions& options, const std::vector<Finding>& findings) {
  const bool all = options.verbose || options.remove_orphans;
  return SummaryText(findings) + (all ? "" : "; --verbose shows each check") + "\n" +
         FindingsText(findings, all ? Detail::kAll : Detail::kFaults);
}

int RunDoctor(const DoctorOptions& options) {
  const auto config = ReadConfig(options.config);
  if (!config) {
    for (const auto& error : config.error()) {
      std::fprintf(stderr, "assertionctl: %s\n", error.c_str());
    }
    return kFile;
  }
  if (const auto unknown = UnknownClient(*config, options); !unknown.empty()) {
    return Report(kRefused, unknown, "correct --client-id");
  }
  const bool forced = !options.force_client_id.empty();
  if (forced && options.force_client_id != options.client_id) {
    return Report(kUsage, "--force must repeat the client id", "assertionctl doctor --help");
  }
  auto findings =
      Diagnose(*config, SystemTime(),
               {.config_path = options.config,
                .removal = {.client_id = options.remove_orphans ? options.client_id : "", .without_ledger = forced},
                .tries = options.tries,
                .client_id = options.remove_orphans ? "" : options.client_id});
  for (const auto& warning : config->warnings) {
    findings.push_back({.name = "configuration", .ok = true, .text = warning, .warns = true, .group = "configuration"});
  }
  const int status = options.json ? WriteJson(FindingsJson(findings)) : Write("", DiagnosisText(options, findings));
  return status != 0 || AllOk(findings) ? status : kRefused;
}

}  // namespace

void AddDoctor(Command& assertionctl) {
  const auto [verb, options] = assertionctl.AddVerb(
      {.name = "doctor",
       .summary = "Check module, token, login, keys and certificates; needs no server",
       .examples = "  assertionctl doctor --config /etc/assertiond/assertiond.json\n"
                   "  assertionctl doctor --config /etc/assertiond/assertiond.json --client-id orders --verbose\n"
                   "  assertionctl doctor --config /etc/assertiond/assertiond.json --try --json\n"
                   "  assertionctl doctor --config /etc/assertiond/assertiond.json --remove-orphans --client-id orders",
       .statuses = {{0, "nothing is wrong"},
                    {kRefused, "something is wrong"},
                    {kFile, "the configuration is wrong, or cannot be read"}}},
      RunDoctor);
  verb->add_option("--config", options.config, "assertiond's configuration")->required()->type_name("FILE");
  verb->add_flag("--try", options.tries,
                 "Also use each HSM with throw-away objects: for each configured algorithm, try every way to get a key "
                 "out, then make a key pair, sign, verify, read back and destroy it; store and destroy a data object; "
                 "measure a signature; open as many sessions as the server. Safe beside a running server; the report "
                 "holds no secret");
  verb->add_flag(
      "--verbose", options.verbose,
      "Show each check, and what --try measured; without it, only what is wrong and warnings. --remove-orphans "
      "shows all, too");
  auto* client_id = verb->add_option("--client-id", options.client_id,
                                     "Check only this client's keys; with --remove-orphans, the client whose orphans "
                                     "are removed (assertiond-trial: what an interrupted trial left)")
                        ->type_name("ID");
  auto* remove = verb->add_flag("--remove-orphans", options.remove_orphans,
                                "Destroy, permanently, the client's objects on the token that no ledger names; without "
                                "this flag doctor only lists them")
                     ->needs(client_id);
  verb->add_option("--force", options.force_client_id,
                   "Confirm by repeating the client id. Required when the client has no ledger, because the objects "
                   "may then be keys of another installation")
      ->needs(remove)
      ->type_name("CLIENT-ID");
  AddJson(verb, options.json);
}

}  // namespace assertion::cli
