#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "oauth/form.h"
#include "oauth/id_token.h"

namespace assertion::cli {

// One request of a log-in: what was sent and what came back.
struct LoginStep {
  std::string title;
  std::string request;  // GET or POST, and the URL
  oauth::FormFields sent;
  std::string received;
};

// What a JWT of a log-in says; its signature is left out.
struct DecodedToken {
  std::string name;
  nlohmann::ordered_json header;
  nlohmann::ordered_json claims;
};

// All that a log-in did, for the browser's last page and for --json.
struct LoginRecord {
  std::string client_id;
  std::string issuer;
  std::vector<LoginStep> steps;
  std::vector<oauth::Check> checks;
  std::vector<DecodedToken> decoded;
  nlohmann::ordered_json claims;  // of the ID token
  std::string failure;            // empty: logged in
};

// The first octets of a secret, whole characters of UTF-8, and its size.
std::string Cut(std::string_view secret);

// The secrets of one log-in: whatever a person sees of it is cut here first. A provider may send each of them back, in
// any member, in an error_description too.
class LoginSecrets {
 public:
  // A value that is cut wherever it stands. One of less than 8 octets is not looked for: ordinary words contain it.
  void Add(const std::string& value);

  // The text without any of the values, as they are or escaped for JSON or a URL.
  std::string CutFrom(std::string text) const;

  // Members with a secret's name are cut whatever they hold.
  oauth::FormFields CutFrom(oauth::FormFields fields) const;

  // The same in a JSON object, at any depth. Adds the values of such members if the answer is a success. A body that is
  // none stays: AnswerText does not show it.
  oauth::HttpAnswer CutFrom(oauth::HttpAnswer answer);

  // For secrets that came after a step. What the steps sent must be cut by name already.
  LoginRecord CutFrom(LoginRecord record) const;

 private:
  void CutMembers(nlohmann::ordered_json& value) const;
  void AddMembers(const nlohmann::ordered_json& value);

  // A value with its forms.
  using Secret = std::array<std::string, 4>;

  std::vector<Secret> secrets_;  // the longest first: one may contain another
};

// A JSON object with its status; of any other answer only the status.
std::string AnswerText(const oauth::HttpAnswer& answer);

// The sections of what was done, sent, received and checked, as HTML without script; all text from elsewhere is
// escaped.
std::string LoginSections(const LoginRecord& record);

// A whole page of them; of a record without steps the failure alone.
std::string LoginPage(const LoginRecord& record);

nlohmann::ordered_json LoginJson(const LoginRecord& record);

}  // namespace assertion::cli
