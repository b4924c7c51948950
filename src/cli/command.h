#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assertion/error.h"
#include "cli/token_request.h"
#include "keys/schedule.h"

namespace CLI {
class App;
}

namespace assertion::cli {

// Exit statuses; kFooter in main.cc tells them to people.
inline constexpr int kRefused = 1;
inline constexpr int kUsage = 2;
inline constexpr int kFile = 3;
inline constexpr int kUnreachable = 4;
inline constexpr int kRefusedByIdentityServer = 5;

// Of the verbs that change an application of WSO2 Identity Server.
struct Wso2Options {
  std::string application;
  std::string base_url;
  std::string token_file;
  std::string jwks_url;
  std::string ca_file;
  bool configure = false;
};

// Of a new key pair and its certificate.
struct NewKeyOptions {
  std::string algorithm;  // empty: the client's
  int bits = 0;
  std::string common_name;
  int validity_days = 0;
};

// Of every change of a client's keys.
struct ChangeOptions {
  std::optional<std::int64_t> expected_version;
  std::string request_id;
  std::string force_client_id;
};

// Of the verbs about the audit log.
struct AuditOptions {
  std::vector<std::string> files;
  std::string key_file;
  std::uint64_t first_sequence = 1;
  std::uint64_t last_sequence = 0;
  std::string caller;
  std::string jti;
  std::string since;
  std::string until;
  bool follow = false;
};

// What was typed. Every verb reads its own part.
struct Options {
  std::string server = "unix:/run/assertiond/assertiond.sock";
  bool json = false;
  std::string client_id;
  std::string audience;
  std::string lifetime;
  std::vector<std::string> claims;
  std::uint64_t count = 1;
  std::string file;
  std::string certificate_file;
  std::string jwks_file;
  std::string format = "pem";
  std::string out;
  NewKeyOptions new_key;
  ChangeOptions change;
  Instants instants;
  std::string subject;
  std::vector<std::string> subject_alt_names;
  std::string config;
  bool remove_orphans = false;
  TokenRequest token;
  std::string grant = "client_credentials";
  std::string kid;
  std::string hsm;
  Wso2Options wso2;
  AuditOptions audit;
  std::string change_id;
  std::string change_digest;
  std::string publish;
};

// Says on standard error what happened and what to do next; returns the status.
int Report(int status, const std::string& what, const std::string& next);
int ReportFile(const Error& error);

// Writes to the file, or to standard output for "", where it cannot steer a terminal; returns the exit status.
int Write(const std::string& path, std::string_view text);
// The same of what is no text.
int WriteOctets(const std::string& path, std::string_view octets);

// `app noun verb`; running the verb leaves its exit status in `status`.
CLI::App* AddNoun(CLI::App& app, const char* name, const char* description);
CLI::App* AddVerb(CLI::App* noun, const char* name, const char* description, const std::string& examples, int& status,
                  std::function<int()> run);

// Options that several verbs have.
void AddClientId(CLI::App* verb, Options& options);
void AddJson(CLI::App* verb, Options& options);
void AddOut(CLI::App* verb, Options& options);
void AddCaFile(CLI::App* verb, std::string& ca_file);
void AddTokenEndpoint(CLI::App* verb, TokenRequest& token);

// The nouns, each in the file of its name, and doctor, which is a verb alone.
void AddAssertionNoun(CLI::App& app, Options& options, int& status);
void AddMaterialNouns(CLI::App& app, Options& options, int& status);
void AddKeyNoun(CLI::App& app, Options& options, int& status);
void AddTokenNoun(CLI::App& app, Options& options, int& status);
void AddWso2Noun(CLI::App& app, Options& options, int& status);
void AddTlsNoun(CLI::App& app, Options& options, int& status);
void AddAuditNoun(CLI::App& app, Options& options, int& status);
void AddDoctor(CLI::App& app, Options& options, int& status);

}  // namespace assertion::cli
