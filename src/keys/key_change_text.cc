#include "keys/key_change_text.h"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "jws/base64url.h"
#include "jws/foreign_json.h"

namespace assertion {
namespace {

using std::chrono::seconds;

// Writes one change. Each Field has its counterpart in ChangeReader, so that one list of fields serves both.
class ChangeWriter {
 public:
  explicit ChangeWriter(std::string_view method) : json_{{"method", method}} {}

  template <typename Value>
  void Field(const char* name, const Value& value) {
    json_[name] = value;
  }
  void Field(const char* name, seconds value) { json_[name] = value.count(); }
  void Field(const char* name, Time value) { Field(name, value.time_since_epoch()); }
  template <typename Value>
  void Field(const char* name, const std::optional<Value>& value) {
    if (value) {
      Field(name, *value);
    }
  }
  void Octets(const char* name, BytesView value) { json_[name] = jws::Base64UrlEncode(value); }
  void Octets(const char* name, const std::string& value) { Octets(name, AsBytes(value)); }

  std::string Text() const { return json_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

 private:
  nlohmann::json json_;
};

// Reads one change and throws std::invalid_argument or nlohmann's exceptions at the first member that does not fit.
class ChangeReader {
 public:
  explicit ChangeReader(nlohmann::json json) : json_(std::move(json)) {}

  void Field(const char* name, std::string& value) { value = Take(name).get_ref<const std::string&>(); }
  void Field(const char* name, bool& value) { value = Take(name).get_ref<const bool&>(); }
  void Field(const char* name, std::int64_t& value) { value = Integer(name); }
  void Field(const char* name, int& value) {
    const auto integer = Integer(name);
    Require(integer >= 0 && integer <= std::numeric_limits<int>::max());
    value = static_cast<int>(integer);
  }
  void Field(const char* name, seconds& value) { value = seconds(Integer(name)); }
  void Field(const char* name, Time& value) { value = Time(seconds(Integer(name))); }
  template <typename Value>
  void Field(const char* name, std::optional<Value>& value) {
    if (json_.contains(name)) {
      Field(name, value.emplace());
    }
  }
  template <typename Value>
  void Octets(const char* name, Value& value) {
    const auto octets = jws::Base64UrlDecode(Take(name).get_ref<const std::string&>());
    Require(octets.has_value());
    value.assign(octets->begin(), octets->end());
  }

  // After the last field.
  void RequireEnd() const { Require(json_.empty()); }

 private:
  static void Require(bool fits) {
    if (!fits) {
      throw std::invalid_argument("not a change");
    }
  }

  nlohmann::json Take(const char* name) {
    auto value = json_.at(name);
    json_.erase(name);
    return value;
  }

  std::int64_t Integer(const char* name) {
    const auto value = Take(name);
    Require(value.is_number_integer());
    return value.get<std::int64_t>();
  }

  nlohmann::json json_;
};

template <typename Text, typename Wishes>
void EachWish(Text& text, Wishes& wishes) {
  text.Field("algorithm", wishes.algorithm);
  text.Field("key_bits", wishes.bits);
  text.Field("common_name", wishes.common_name);
  text.Field("certificate_validity", wishes.certificate_validity);
  text.Field("hsm", wishes.hsm);
}

// The fields of a change, for a writer or a reader.
template <typename Text, typename Change>
void EachField(Text& text, Change& change) {
  text.Field("client_id", change.change.client_id);
  text.Field("expected_version", change.change.expected_version);
  text.Field("request_id", change.change.request_id);
  text.Field("request_digest", change.change.digest);
  text.Field("forced", change.change.forced);
  if constexpr (requires { change.kid; }) {
    text.Field("kid", change.kid);
  }
  if constexpr (requires { change.cka_id; }) {
    text.Octets("cka_id", change.cka_id);
  }
  if constexpr (requires { change.key; }) {
    EachWish(text, change.key);
  }
  if constexpr (requires { change.sign_from; }) {
    text.Field("sign_from", change.sign_from);
  }
  if constexpr (requires { change.certificates; }) {
    text.Octets("certificates", change.certificates);
  }
  if constexpr (requires { change.instants; }) {
    text.Field("publish_from", change.instants.publish_from);
    text.Field("sign_from", change.instants.sign_from);
    text.Field("sign_until", change.instants.sign_until);
    text.Field("publish_until", change.instants.publish_until);
  }
  if constexpr (requires { change.hsm; }) {
    text.Field("hsm", change.hsm);
  }
}

// An empty change of the kind that the method names.
template <std::size_t kIndex = 0>
std::optional<KeyChange> EmptyChange(std::string_view method) {
  if constexpr (kIndex == std::variant_size_v<KeyChange>) {
    return std::nullopt;
  } else {
    KeyChange change(std::in_place_index<kIndex>);
    return MethodOf(change) == method ? std::optional(std::move(change)) : EmptyChange<kIndex + 1>(method);
  }
}

}  // namespace

std::string TextOf(const KeyChange& change) {
  ChangeWriter writer(MethodOf(change));
  std::visit([&](const auto& one) { EachField(writer, one); }, change);
  return writer.Text();
}

std::optional<KeyChange> ParseKeyChange(std::string_view text) {
  try {
    ChangeReader reader(jws::ParseForeign(text));
    std::string method;
    reader.Field("method", method);
    auto change = EmptyChange(method);
    if (change) {
      std::visit([&](auto& one) { EachField(reader, one); }, *change);
      reader.RequireEnd();
    }
    return change;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace assertion
