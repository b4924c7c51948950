#include "cli/output.h"

#include <cstdio>

#include "cli/text.h"
#include "cli/yaml.h"

namespace assertion::cli {

int Report(int status, const std::string& what, const std::string& next) {
  std::fprintf(stderr, "assertionctl: %s\n", Printable(what).c_str());
  if (!next.empty()) {
    std::fprintf(stderr, "  next: %s\n", Printable(next).c_str());
  }
  return status;
}

int ReportFile(const Error& error) {
  return Report(kFile, error.ToString(), "correct what the message names, or give another file");
}

int Write(const std::string& path, std::string_view text) {
  return WriteOctets(path, path.empty() ? PrintableLines(text) : std::string(text));
}

int WriteOctets(const std::string& path, std::string_view octets) {
  const auto written = WriteText(path, octets);
  return written ? 0 : ReportFile(written.error());
}

int WriteJson(const nlohmann::ordered_json& json) {
  if (CurrentDocumentForm() == DocumentForm::kYaml) {
    return WriteOctets("", YamlText(json));
  }
  // Other servers' texts need not be UTF-8.
  return WriteOctets("", PrintableJson(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"));
}

}  // namespace assertion::cli
