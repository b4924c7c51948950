#include "oauth/form.h"

#include <cctype>
#include <string_view>

#include "assertion/bytes.h"

namespace assertion::oauth {
namespace {

// Encodes all but unreserved characters (RFC 3986 section 2.1).
std::string PercentEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      encoded += c;
    } else {
      encoded += "%" + Hex(AsBytes({&c, 1}));
    }
  }
  return encoded;
}

}  // namespace

bool IsUnreserved(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~").contains(c);
}

std::string EncodeForm(const FormFields& fields) {
  std::string form;
  for (const auto& [name, value] : fields) {
    if (!value.empty()) {
      form.append(form.empty() ? "" : "&").append(PercentEncode(name)).append("=").append(PercentEncode(value));
    }
  }
  return form;
}

Result<HttpAnswer> PostForm(const Url& endpoint, const std::string& ca_file, const FormFields& fields,
                            HttpRequest how) {
  how.method = "POST";
  how.path = endpoint.path;
  how.content_type = "application/x-www-form-urlencoded";
  how.body = EncodeForm(fields);
  return Exchange(endpoint.origin, ca_file, how);
}

}  // namespace assertion::oauth
