#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace assertion::cli {

// The document in YAML 1.2, in blocks. Texts are always quoted, so that none of them turns into a number, a date or a
// truth value. A library would cost a dependency on three releases for these few lines.
std::string YamlText(const nlohmann::ordered_json& document);

// The form in which WriteJson writes documents. --output sets it while the command line is read.
enum class DocumentForm { kJson, kYaml };
void SetDocumentForm(DocumentForm form);
DocumentForm CurrentDocumentForm();

// One of many documents: a line of JSON, or a YAML document that begins with "---".
std::string DocumentLine(const nlohmann::ordered_json& document);

}  // namespace assertion::cli
