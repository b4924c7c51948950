#include "p11/token_uri.h"

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <algorithm>

#include "p11/padded_text.h"

namespace assertion::p11 {
namespace {

// The path goes into an OpenSSL configuration text, where other characters have a meaning.
bool IsPlainPath(std::string_view path) {
  return path.starts_with('/') && std::ranges::all_of(path, [](unsigned char c) {
           return std::isalnum(c) != 0 || std::string_view("/._+-:").contains(static_cast<char>(c));
         });
}

// RFC 7512 section 2.4: pin-source is a file URI (RFC 8089) or an absolute path. A command ("|…") is never run.
std::string PinPath(std::string_view source) {
  if (source.starts_with("file:")) {
    source.remove_prefix(5);
    if (source.starts_with("//")) {
      source.remove_prefix(2);
    }
  }
  return source.starts_with('/') ? std::string(source) : std::string();
}

bool NamesToken(P11KitUri* uri) {
  const auto* info = p11_kit_uri_get_token_info(uri);
  // p11-kit marks an attribute that was not given by a leading NUL.
  return info->label[0] != 0 || info->serialNumber[0] != 0 || info->model[0] != 0 || info->manufacturerID[0] != 0 ||
         p11_kit_uri_get_slot_id(uri) != static_cast<CK_SLOT_ID>(-1);
}

std::string TokenLabel(P11KitUri* uri) {
  const auto* info = p11_kit_uri_get_token_info(uri);
  return info->label[0] == 0 ? "" : Trimmed(info->label);
}

bool NamesObject(P11KitUri* uri) {
  CK_ULONG count = 0;
  p11_kit_uri_get_attributes(uri, &count);
  return count != 0;
}

}  // namespace

void TokenUri::Free::operator()(p11_kit_uri* uri) const { p11_kit_uri_free(uri); }

Result<TokenUri> TokenUri::Parse(const std::string& text) {
  const auto refuse = [](std::string why) { return Fail(Code::kConfigInvalid, std::move(why)); };
  TokenUri parsed;
  parsed.uri_.reset(p11_kit_uri_new());
  auto* uri = parsed.uri_.get();
  // The text itself is never shown: it may hold a PIN.
  if (const int rc = p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri); rc != P11_KIT_URI_OK) {
    return refuse(std::string("not a PKCS#11 URI (RFC 7512): ") + p11_kit_uri_message(rc));
  }
  if (p11_kit_uri_get_pin_value(uri) != nullptr) {
    p11_kit_uri_set_pin_value(uri, nullptr);
    return refuse(
        "pin-value is refused: a PIN does not belong in a configuration; put it into a file of mode 0600 and "
        "name that with pin-source=file:/path");
  }
  if (p11_kit_uri_any_unrecognized(uri) != 0) {
    return refuse("the URI has an attribute that is not known");
  }
  if (NamesObject(uri)) {
    return refuse("the URI names an object (object, id, type); it must name a token only");
  }
  if (!NamesToken(uri)) {
    return refuse("the URI names no token: add token=LABEL or serial=NUMBER");
  }
  const auto* module_path = p11_kit_uri_get_module_path(uri);
  if (module_path == nullptr || !IsPlainPath(module_path)) {
    return refuse("module-path must be the absolute path of the PKCS#11 module (letters, digits and / . _ + - :)");
  }
  parsed.text_ = text;
  parsed.token_label_ = TokenLabel(uri);
  parsed.module_path_ = module_path;
  const auto* pin_source = p11_kit_uri_get_pin_source(uri);
  parsed.pin_path_ = pin_source == nullptr ? std::string() : PinPath(pin_source);
  if (parsed.pin_path_.empty()) {
    return refuse("pin-source must name the file that holds the PIN: pin-source=file:/path");
  }
  return parsed;
}

}  // namespace assertion::p11
