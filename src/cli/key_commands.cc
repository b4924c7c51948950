// assertionctl key: generate, list, rotate.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "assertion/bytes.h"
#include "cli/call.h"
#include "cli/cut_over.h"
#include "cli/text.h"
#include "cli/wso2_commands.h"

namespace assertion::cli {
namespace {

const char* StateName(v1::KeyState state) {
  switch (state) {
    case v1::KEY_STATE_STAGED:
      return "staged";
    case v1::KEY_STATE_PUBLISHED:
      return "published";
    case v1::KEY_STATE_SIGNING:
      return "signing";
    case v1::KEY_STATE_RETIRING:
      return "retiring";
    case v1::KEY_STATE_WITHDRAWN:
      return "withdrawn";
    default:
      return "unknown";
  }
}

nlohmann::ordered_json KeyJson(const v1::Key& key) {
  nlohmann::ordered_json json = {{"client_id", key.client_id()},
                                 {"kid", key.kid()},
                                 {"algorithm", key.algorithm()},
                                 {"key_bits", key.key_bits()},
                                 {"cka_id", Hex(AsBytes(key.cka_id()))},
                                 {"version", key.version()},
                                 {"state", StateName(key.state())},
                                 {"publish_from", Rfc3339(ToTime(key.publish_from()))},
                                 {"sign_from", Rfc3339(ToTime(key.sign_from()))},
                                 {"sign_until", Rfc3339(ToTime(key.sign_until()))},
                                 {"publish_until", Rfc3339(ToTime(key.publish_until()))}};
  if (!key.x5t_s256().empty()) {
    json["x5t#S256"] = key.x5t_s256();
    json["not_before"] = Rfc3339(ToTime(key.not_before()));
    json["not_after"] = Rfc3339(ToTime(key.not_after()));
  }
  return json;
}

// Calls `act` with the version of the client's keys as the server tells it now: what a change is decided on.
int WithVersion(const Options& options, const std::function<int(std::int64_t)>& act) {
  return Call<v1::ListKeysRequest, v1::ListKeysResponse>(options, &Connection::ListKeys, {}, [&](const auto& response) {
    const auto version = response.versions().find(options.client_id);
    return act(version == response.versions().end() ? 0 : version->second);
  });
}

int GenerateKey(const Options& options) {
  v1::GenerateKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_key_bits(options.bits);
  request.set_common_name(options.common_name);
  if (options.validity_days != 0) {
    request.mutable_certificate_validity()->set_seconds(std::int64_t{options.validity_days} * 86400);
  }
  return WithVersion(options, [&](std::int64_t version) {
    request.mutable_change()->set_expected_version(version);
    return Call<v1::GenerateKeyRequest, v1::GenerateKeyResponse>(
        options, &Connection::GenerateKey, request, [&](const auto& response) {
          const auto& key = response.key();
          return Write("", options.json
                               ? KeyJson(key).dump(2) + "\n"
                               : "key " + key.kid() + " for client " + key.client_id() + ": " + key.algorithm() + ", " +
                                     std::to_string(key.key_bits()) + " bits, " + StateName(key.state()) +
                                     ", certificate until " + Rfc3339(ToTime(key.not_after())) + "\n");
        });
  });
}

std::string KeyTable(const v1::ListKeysResponse& response) {
  const auto row = [](const std::string& client, const std::string& kid, const std::string& algorithm,
                      const std::string& bits, const std::string& certificate) {
    const auto cell = [](std::string text, std::size_t width) {
      text.resize(std::max(width, text.size()), ' ');
      return text + "  ";
    };
    return cell(client, 20) + cell(kid, 43) + cell(algorithm, 9) + cell(bits, 4) + certificate + "\n";
  };
  auto table = row("CLIENT", "KID", "ALGORITHM", "BITS", "CERTIFICATE UNTIL");
  for (const auto& key : response.keys()) {
    const auto until = ToTime(key.not_after());
    table += row(key.client_id(), key.kid(), key.algorithm(), std::to_string(key.key_bits()),
                 key.x5t_s256().empty() ? "none" : Rfc3339(until) + " (" + Relative(until, SystemTime()) + ")");
  }
  return table;
}

int ListKeys(const Options& options) {
  return Call<v1::ListKeysRequest, v1::ListKeysResponse>(options, &Connection::ListKeys, {}, [&](const auto& response) {
    if (!options.json) {
      return Write("", KeyTable(response));
    }
    nlohmann::ordered_json json = {{"keys", nlohmann::ordered_json::array()}};
    for (const auto& key : response.keys()) {
      json["keys"].push_back(KeyJson(key));
    }
    return Write("", json.dump(2) + "\n");
  });
}

// What a new key pair and its certificate are to be.
void AddKeyOptions(CLI::App* verb, Options& options) {
  verb->add_option("--bits", options.bits, "2048 (default), 3072 or 4096")->check(CLI::IsMember({2048, 3072, 4096}));
  verb->add_option("--common-name", options.common_name, "Of the certificate; default: the client id")->type_name("CN");
  verb->add_option("--validity-days", options.validity_days, "Of the certificate; default 365")
      ->check(CLI::Range(1, 3650));
}

}  // namespace

void AddKeyNoun(CLI::App& app, Options& options, int& status) {
  auto* noun = AddNoun(app, "key", "Key pairs inside the token");
  auto* generate = AddVerb(noun, "generate", "Make a key pair in the token, with a self-signed certificate",
                           "  assertionctl key generate --client-id orders\n"
                           "  assertionctl key generate --client-id orders --bits 3072 --validity-days 730",
                           status, [&options] { return GenerateKey(options); });
  AddClientId(generate, options);
  AddKeyOptions(generate, options);
  AddJson(generate, options);
  auto* rotate =
      AddVerb(noun, "rotate", "Change over to a new key where the identity server knows one certificate at a time",
              "  assertionctl key rotate --client-id orders --publish wso2 --base-url https://localhost:9443 \\\n"
              "    --application 394b8adc-ce24-4c64-8a09-a0d80abf8c33 --token-file token \\\n"
              "    --token-endpoint https://localhost:9443/oauth2/token",
              status, [&options] { return CutOverAtWso2(options); });
  AddClientId(rotate, options);
  rotate->add_option("--publish", options.publish, "Where the new certificate goes: wso2")
      ->required()
      ->check(CLI::IsMember({"wso2"}))
      ->type_name("SERVER");
  AddWso2Options(rotate, options);
  AddTokenEndpoint(rotate, options.token);
  rotate
      ->add_option("--audience", options.audience, "aud of the trial; default: the client's first configured audience")
      ->type_name("URL");
  rotate->add_option("--kid", options.kid, "Go on with this key of an attempt before instead of making one")
      ->type_name("KID");
  AddKeyOptions(rotate, options);
  AddJson(rotate, options);
  auto* list =
      AddVerb(noun, "list", "The keys of all clients", "  assertionctl key list\n  assertionctl key list --json",
              status, [&options] { return ListKeys(options); });
  AddJson(list, options);
}

}  // namespace assertion::cli
