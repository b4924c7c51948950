// assertionctl doctor.

#include <CLI/CLI.hpp>
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
  const auto findings = Diagnose(*config, SystemTime());
  bool all_ok = true;
  nlohmann::ordered_json json = {{"ok", true}, {"findings", nlohmann::ordered_json::array()}};
  std::string lines;
  for (const auto& warning : config->warnings) {
    lines += "note   " + warning + "\n";
  }
  for (const auto& finding : findings) {
    all_ok = all_ok && finding.ok;
    json["findings"].push_back({{"name", finding.name}, {"ok", finding.ok}, {"text", finding.text}});
    lines += (finding.ok ? "ok     " : "wrong  ") + finding.name + ": " + finding.text + "\n";
  }
  json["ok"] = all_ok;
  const int status =
      Write("", options.json ? json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" : lines);
  return status != 0 || all_ok ? status : kRefused;
}

}  // namespace

void AddDoctor(CLI::App& app, Options& options, int& status) {
  auto* doctor =
      app.add_subcommand("doctor", "Check module, token, login, keys and certificates; needs no server")->fallthrough();
  doctor->footer("Examples:\n  assertionctl doctor --config /etc/assertiond/assertiond.json");
  doctor->add_option("--config", options.config, "assertiond's configuration")->required()->type_name("FILE");
  AddJson(doctor, options);
  doctor->callback([&options, &status] { status = RunDoctor(options); });
}

}  // namespace assertion::cli
