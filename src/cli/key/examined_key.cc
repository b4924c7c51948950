#include "cli/key/examined_key.h"

#include "assertion/bytes.h"
#include "cli/command_line.h"
#include "cli/text.h"

namespace assertion::cli {
namespace {

const char* FlagText(bool has, bool value) { return !has ? "not shown" : value ? "true" : "false"; }

std::string AttributeLine(const v1::KeyAttribute& attribute) {
  auto line = "  " + Printable(attribute.name()) + ": " + FlagText(attribute.has_value(), attribute.value());
  if (attribute.has_required()) {
    line += std::string(", must be ") + FlagText(true, attribute.required()) + ": " + Printable(attribute.meaning());
  }
  return line + (attribute.accepted() ? " (accept_unshown names it)\n" : "\n");
}

}  // namespace

nlohmann::ordered_json ExaminedKeyJson(const v1::ExamineKeyResponse& key) {
  nlohmann::ordered_json json = {
      {"hsm", key.hsm()}, {"cka_id", Hex(AsBytes(key.cka_id()))}, {"label", key.label()},
      {"kid", key.kid()}, {"algorithm", key.algorithm()},         {"key_bits", key.key_bits()}};
  json["attributes"] = nlohmann::ordered_json::array();
  for (const auto& attribute : key.attributes()) {
    using Value = nlohmann::ordered_json;
    json["attributes"].push_back({{"name", attribute.name()},
                                  {"value", attribute.has_value() ? Value(attribute.value()) : Value()},
                                  {"required", attribute.has_required() ? Value(attribute.required()) : Value()},
                                  {"accepted", attribute.accepted()},
                                  {"proves", attribute.meaning()}});
  }
  json["obstacles"] = std::vector<std::string>(key.obstacles().begin(), key.obstacles().end());
  return json;
}

std::string ExaminedKeyText(const v1::ExamineKeyResponse& key, const std::string& client_id) {
  const auto cka_id = Hex(AsBytes(key.cka_id()));
  auto text = "CKA_ID      " + cka_id + "\nCKA_LABEL   " + Printable(key.label()) + "\nHSM         " +
              Printable(key.hsm()) + "\nalgorithm   " + Printable(key.algorithm()) +
              (key.key_bits() == 0 ? "" : ", " + std::to_string(key.key_bits()) + " bits") + "\nkid         " +
              (key.kid().empty() ? "unknown: the key has signed no proof" : Printable(key.kid())) + "\nattributes\n";
  for (const auto& attribute : key.attributes()) {
    text += AttributeLine(attribute);
  }
  if (!key.obstacles().empty()) {
    text += "client " + Printable(client_id) + " cannot adopt the key\n";
    for (const auto& obstacle : key.obstacles()) {
      text += "  " + Printable(obstacle) + "\n";
    }
    return text;
  }
  return text + "client " + Printable(client_id) +
         " can adopt the key: it is fit, in no ledger, and has signed a proof\n" +
         "  next: assertionctl key adopt --client-id " + QuotedForShell(Printable(client_id)) + " --cka-id " +
         QuotedForShell(cka_id) + " --kid=" + QuotedForShell(Printable(key.kid())) + "\n";
}

}  // namespace assertion::cli
