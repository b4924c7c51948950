#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "assertion/hsm_settings.h"
#include "config/sections.h"

namespace assertion {
namespace {

constexpr std::size_t kMostHsms = 8;
constexpr std::size_t kMostVariables = 32;
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestText = 4096;

bool IsOneOf(const auto& names, std::string_view name) {
  return std::ranges::find(names, name) != std::ranges::end(names);
}

// Variables that decide what code this process runs, or that it reads itself, in capital letters. One that ends in '_'
// stands for all that begin so.
constexpr std::array<std::string_view, 37> kNotToBeSet = {
    // the dynamic linker and the C library
    "LD_", "GLIBC_", "GCONV_", "MALLOC_", "PATH", "TMPDIR", "TZ", "TZDIR", "LANG", "LANGUAGE", "LC_", "LOCPATH",
    "NLSPATH", "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES",
    // OpenSSL and its provider
    "OPENSSL_", "SSL_", "SSLKEYLOGFILE", "CTLOG_FILE", "RANDFILE", "QLOGDIR", "PKCS11_PROVIDER_", "PKCS11_MODULE_PATH",
    // gRPC, systemd, assertiond
    "GRPC_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "SYSTEMD_", "CREDENTIALS_DIRECTORY", "INVOCATION_ID",
    "JOURNAL_STREAM", "RUNTIME_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "STATE_DIRECTORY", "ASSERTIOND_"};

bool MayBeSet(std::string_view name) {
  std::string capitals(name);
  std::ranges::transform(capitals, capitals.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  const auto is_plain = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name.size() <= kLongestName && (name.front() < '0' || name.front() > '9') &&
         std::ranges::all_of(capitals, is_plain) && std::ranges::none_of(kNotToBeSet, [&](auto one) {
           return capitals == one || (one.ends_with('_') && capitals.starts_with(one));
         });
}

bool IsPlainText(std::string_view text) {
  return text.size() <= kLongestText &&
         std::ranges::none_of(text, [](unsigned char c) { return c < ' ' || c == 0x7F; });
}

std::map<std::string, std::string> TakeEnvironment(Fields& fields) {
  std::map<std::string, std::string> variables;
  const auto* node = fields.Take("environment", false);
  const auto* members = node == nullptr ? nullptr : std::get_if<Node::Object>(&node->value);
  if (node != nullptr && (members == nullptr || members->size() > kMostVariables)) {
    fields.Refuse("environment", "must be an object of at most 32 variables");
    return variables;
  }
  for (const auto& [name, value] : members == nullptr ? Node::Object() : *members) {
    const auto* text = std::get_if<std::string>(&value.value);
    if (!MayBeSet(name)) {
      fields.Refuse("environment",
                    "may set variables that the module reads (letters, digits, _), but none of the dynamic "
                    "linker, the C library, OpenSSL, gRPC, systemd or assertiond: " +
                        name);
    } else if (text == nullptr || !IsPlainText(*text)) {
      fields.Refuse("environment", name + " must be a string of at most 4096 octets without control characters");
    } else if (!variables.emplace(name, *text).second) {
      fields.Refuse("environment", name + " is set twice");
    }
  }
  return variables;
}

AttributeNames TakeAccepted(Fields& fields) {
  AttributeNames accepted;
  for (auto& name : fields.TakeStrings("accept_unshown", false)) {
    if (IsOneOf(kAcceptable, name)) {
      accepted.insert(std::move(name));
    } else if (IsOneOf(kEssentialAttributes, name)) {
      fields.Refuse("accept_unshown", name + " cannot be given up: it keeps the key in the HSM and behind its login");
    } else {
      std::string known;
      for (const auto acceptable : kAcceptable) {
        known.append(known.empty() ? "" : ", ").append(acceptable);
      }
      fields.Refuse("accept_unshown", "must be of this list: " + known);
    }
  }
  return accepted;
}

// `field` is the member of `fields` that holds `uri`.
std::optional<HsmSettings> ParseHsm(Fields& fields, std::string_view field, const std::string& uri) {
  auto parsed = TokenUri::Parse(uri);
  if (!parsed && uri.starts_with('/')) {  // not repeated: it may hold a PIN
    fields.Refuse(field,
                  "must be a PKCS#11 URI, not a module's path; for example "
                  "\"pkcs11:token=LABEL?module-path=/PATH&pin-source=file:/etc/assertiond/pin\"");
    return {};
  }
  if (!parsed) {
    fields.Refuse(field, parsed.error().message);
    return {};
  }
  return HsmSettings{.uri = std::move(*parsed), .init_args = {}, .environment = {}, .accept_unshown = {}};
}

std::optional<HsmSettings> ReadHsmObject(const Node& node, const std::string& path, Errors& errors) {
  Fields fields(node, path, errors);
  const auto* uri = fields.TakeString("uri", true);
  auto hsm = uri == nullptr ? std::nullopt : ParseHsm(fields, "uri", *uri);
  const auto* init_args = fields.TakeString("init_args", false);
  if (init_args != nullptr && !IsPlainText(*init_args)) {
    fields.Refuse("init_args", "must be at most 4096 octets without control characters");
  }
  auto environment = TakeEnvironment(fields);
  auto accepted = TakeAccepted(fields);
  fields.RefuseTheRest();
  if (hsm) {
    hsm->init_args = init_args == nullptr ? "" : *init_args;
    hsm->environment = std::move(environment);
    hsm->accept_unshown = std::move(accepted);
  }
  return hsm;
}

// Why the HSM cannot be used beside one that was named before; empty: it can. A module is initialised once, and the
// process has one environment.
std::string_view ConflictBetween(const HsmSettings& before, const HsmSettings& hsm) {
  if (before.uri.text() == hsm.uri.text()) {
    return "must not name one HSM twice";
  }
  if (before.module_path() == hsm.module_path() && before.init_args != hsm.init_args) {
    return "two HSMs of one module must have the same init_args";
  }
  const auto differs = [&](const auto& variable) {
    const auto other = before.environment.find(variable.first);
    return other != before.environment.end() && other->second != variable.second;
  };
  return std::ranges::any_of(hsm.environment, differs) ? "two HSMs must not give one variable different values" : "";
}

std::string Labels(const std::vector<HsmSettings>& hsms) {
  std::string labels;
  for (const auto& hsm : hsms) {
    labels.append(labels.empty() || hsm.token_label().empty() ? "" : ", ").append(hsm.token_label());
  }
  return labels;
}

}  // namespace

void ReadHsms(Fields& fields, Config& config) {
  const auto* node = fields.Take("hsm", true);
  if (node == nullptr) {
    return;
  }
  const auto* list = std::get_if<Node::Array>(&node->value);
  if (list != nullptr && (list->empty() || list->size() > kMostHsms)) {
    fields.Refuse("hsm", "must be one HSM, or a list of 1 to 8");
    return;
  }
  for (std::size_t i = 0; i < (list == nullptr ? 1 : list->size()); ++i) {
    const auto& entry = list == nullptr ? *node : (*list)[i];
    const auto path = list == nullptr ? "hsm" : "hsm[" + std::to_string(i) + "]";
    std::optional<HsmSettings> hsm;
    if (const auto* uri = std::get_if<std::string>(&entry.value)) {
      hsm = ParseHsm(fields, "hsm", *uri);
    } else if (std::holds_alternative<Node::Object>(entry.value)) {
      hsm = ReadHsmObject(entry, path, fields.errors());
    } else {
      fields.Refuse("hsm", "must be a PKCS#11 URI, an object with a field uri, or a list of these");
    }
    std::string_view conflict;
    for (const auto& before : config.hsms) {
      conflict = hsm && conflict.empty() ? ConflictBetween(before, *hsm) : conflict;
    }
    if (!conflict.empty()) {
      fields.Refuse("hsm", std::string(conflict));
    } else if (hsm) {
      config.hsms.push_back(std::move(*hsm));
    }
  }
}

void ReadSessions(Fields& fields, Config& config) {
  if (const auto sessions = fields.TakeCount("sessions")) {
    config.sessions = static_cast<std::size_t>(*sessions);
  }
}

std::string TakeHsmName(Fields& section, const Config& config) {
  const auto* name = section.TakeString("hsm", false);
  if (name == nullptr || config.hsms.empty()) {  // with no HSM, the field hsm at the top is refused already
    return {};
  }
  const auto matching = std::ranges::count(config.hsms, *name, &HsmSettings::token_label);
  if (name->empty() || matching == 0) {
    const auto labels = Labels(config.hsms);
    section.Refuse("hsm", "must be the token attribute of one of the URIs in the field hsm at the top" +
                              (labels.empty() ? ", none of which has it" : ": " + labels));
  } else if (matching > 1) {
    section.Refuse("hsm", "several URIs in the field hsm at the top have this token attribute");
  }
  return *name;
}

}  // namespace assertion
