#include "assertion/token_uri.h"

#include <p11-kit/uri.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "config/text.h"

namespace assertion {
namespace {

using ParsedUri = std::unique_ptr<P11KitUri, decltype(&p11_kit_uri_free)>;

// Other characters have a meaning in an OpenSSL configuration text, which the path becomes part of.
bool IsPlainPath(std::string_view path) {
  return path.starts_with('/') && std::ranges::all_of(path, [](unsigned char c) {
           return std::isalnum(c) != 0 || std::string_view("/._+-:").contains(static_cast<char>(c));
         });
}

// RFC 7512 section 2.4: pin-source is a file URI (RFC 8089) or an absolute path. A command ("|…") is never run.
std::string PinPath(std::string_view source) {
  constexpr std::string_view kFile = "file:";
  if (source.starts_with(kFile)) {
    source.remove_prefix(kFile.size());
    if (source.starts_with("//")) {
      source.remove_prefix(2);
    }
  }
  return source.starts_with('/') ? std::string(source) : std::string();
}

// p11-kit pads an attribute with blanks, and marks one that was not given by a leading NUL.
template <std::size_t N>
std::optional<std::string> Given(const unsigned char (&padded)[N]) {  // NOLINT(modernize-avoid-c-arrays): Cryptoki's
  if (padded[0] == 0) {
    return std::nullopt;
  }
  std::string text(reinterpret_cast<const char*>(padded), N);
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

TokenUri::Attributes AttributesOf(P11KitUri* uri) {
  const auto* info = p11_kit_uri_get_token_info(uri);
  const auto slot = p11_kit_uri_get_slot_id(uri);
  return {.label = Given(info->label),
          .manufacturer = Given(info->manufacturerID),
          .model = Given(info->model),
          .serial = Given(info->serialNumber),
          .slot = slot == static_cast<CK_SLOT_ID>(-1) ? std::nullopt : std::optional<unsigned long>(slot)};
}

bool NamesToken(const TokenUri::Attributes& given) {
  return given.label || given.manufacturer || given.model || given.serial || given.slot;
}

bool NamesObject(P11KitUri* uri) {
  CK_ULONG count = 0;
  p11_kit_uri_get_attributes(uri, &count);
  return count != 0;
}

constexpr std::array<std::string_view, 13> kPathAttributes = {"token",
                                                              "serial",
                                                              "manufacturer",
                                                              "model",
                                                              "slot-id",
                                                              "slot-description",
                                                              "object",
                                                              "type",
                                                              "id",
                                                              "library-version",
                                                              "slot-manufacturer",
                                                              "library-manufacturer",
                                                              "library-description"};
constexpr std::array<std::string_view, 4> kQueryAttributes = {"module-path", "pin-source", "module-name", "pin-value"};

// Says which attribute of the path is not known; RFC 7512 section 2.4 lets a query have any. Shows no value, because it
// may be a PIN, and no name that looks like none.
std::string UnknownAttributeText(std::string_view text) {
  constexpr std::size_t kLongestName = 32;
  const auto path_end = std::min(text.find('?'), text.size());
  for (std::size_t begin = text.find(':') + 1; begin < path_end;) {
    const auto end = std::min(text.find(';', begin), path_end);
    const auto name = text.substr(begin, std::min(text.find('=', begin), end) - begin);
    const bool plain = !name.empty() && name.size() <= kLongestName &&
                       std::ranges::all_of(name, [](unsigned char c) { return std::islower(c) != 0 || c == '-'; });
    const std::string quoted = "the attribute \"" + std::string(name) + "\"";
    if (std::ranges::find(kQueryAttributes, name) != kQueryAttributes.end()) {
      return quoted + " belongs behind a question mark: pkcs11:token=...?module-path=...&pin-source=...";
    }
    if (plain && std::ranges::find(kPathAttributes, name) == kPathAttributes.end()) {
      return quoted + " is not known" +
             (name == "label" ? ": a token's label is token=" : DidYouMean(name, kPathAttributes));
    }
    begin = end + 1;
  }
  return "the URI has an attribute that is not known";
}

std::unexpected<Error> Refused(std::string why) { return Fail(Code::kConfigInvalid, std::move(why)); }

}  // namespace

Result<TokenUri> TokenUri::Parse(const std::string& text) {
  const ParsedUri owned(p11_kit_uri_new(), &p11_kit_uri_free);
  auto* uri = owned.get();
  // Errors never show the text, because it may hold a PIN.
  if (const int rc = p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri); rc != P11_KIT_URI_OK) {
    return Refused(std::string("not a PKCS#11 URI (RFC 7512): ") + p11_kit_uri_message(rc));
  }
  if (p11_kit_uri_get_pin_value(uri) != nullptr) {
    return Refused(
        "pin-value is refused: a PIN does not belong in a configuration; put it into a file of mode 0600 and "
        "name that with pin-source=file:/path");
  }
  if (p11_kit_uri_any_unrecognized(uri) != 0) {
    return Refused(UnknownAttributeText(text));
  }
  if (NamesObject(uri)) {
    return Refused("the URI names an object (object, id, type); it must name a token only");
  }
  TokenUri parsed;
  parsed.attributes_ = AttributesOf(uri);
  if (!NamesToken(parsed.attributes_)) {
    return Refused("the URI names no token: add token=LABEL or serial=NUMBER");
  }
  const auto* module_path = p11_kit_uri_get_module_path(uri);
  if (module_path == nullptr || !IsPlainPath(module_path)) {
    return Refused("module-path must be the absolute path of the PKCS#11 module (letters, digits and / . _ + - :)");
  }
  parsed.text_ = text;
  parsed.module_path_ = module_path;
  const auto* pin_source = p11_kit_uri_get_pin_source(uri);
  parsed.pin_path_ = pin_source == nullptr ? std::string() : PinPath(pin_source);
  if (parsed.pin_path_.empty()) {
    return Refused("pin-source must name the file that holds the PIN: pin-source=file:/path");
  }
  return parsed;
}

}  // namespace assertion
