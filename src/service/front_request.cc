#include "service/front_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "assertion/percent_encoding.h"
#include "assertion/utf8.h"

namespace assertion::service {
namespace {

using Parameters = std::map<std::string, std::string, std::less<>>;

std::optional<std::string> Utf8Decoded(std::string_view text) {
  auto decoded = FormDecoded(text);
  return decoded && IsUtf8(*decoded) ? decoded : std::nullopt;
}

Result<Parameters> ParametersOf(std::string_view query, std::span<const std::string_view> known) {
  Parameters parameters;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = Utf8Decoded(pair.substr(0, equals));
    auto value = Utf8Decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) {
      return Fail(Code::kInvalidArgument, "the query is not application/x-www-form-urlencoded UTF-8");
    }
    if (std::ranges::find(known, *name) == known.end()) {
      std::string names;
      for (const auto one : known) {
        names.append(names.empty() ? "" : ", ").append(one);
      }
      return Fail(Code::kInvalidArgument, "the query has an unknown parameter; known here: " + names);
    }
    const auto added = parameters.emplace(*std::move(name), *std::move(value));
    if (!added.second) {
      return Fail(Code::kInvalidArgument, added.first->first + ": is given twice");
    }
  }
  return parameters;
}

std::string ValueOf(Parameters& parameters, std::string_view name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string() : std::move(found->second);
}

Status CheckClientId(const std::string& client_id) {
  return IsUtf8(client_id) ? Status() : Fail(Code::kInvalidArgument, "client_id: not valid UTF-8");
}

}  // namespace

FrontTarget SplitTarget(std::string_view target) {
  const auto question = std::min(target.find('?'), target.size());
  return {.path = target.substr(0, question), .query = target.substr(std::min(question + 1, target.size()))};
}

Status SetMinimumValidity(const std::string& text, v1::GetAccessTokenRequest& request) {
  std::int64_t seconds = 0;
  const auto* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, seconds);
  if (text.empty() || read.ptr != end || read.ec != std::errc()) {
    return Fail(Code::kInvalidArgument, "minimum_validity: must be a number of seconds, for example 60");
  }
  request.mutable_minimum_validity()->set_seconds(seconds);
  return {};
}

Result<v1::GetAccessTokenRequest> ToTokenRequest(std::string client_id, std::string_view query) {
  static constexpr auto kKnown = std::to_array<std::string_view>({"scope", "resource", "minimum_validity"});
  RETURN_IF_ERROR(CheckClientId(client_id));
  ASSIGN_OR_RETURN(auto parameters, ParametersOf(query, kKnown));
  v1::GetAccessTokenRequest request;
  request.set_client_id(std::move(client_id));
  request.set_scope(ValueOf(parameters, "scope"));
  request.set_resource(ValueOf(parameters, "resource"));
  if (const auto found = parameters.find("minimum_validity"); found != parameters.end()) {
    RETURN_IF_ERROR(SetMinimumValidity(found->second, request));
  }
  return request;
}

Result<v1::CreateAssertionRequest> ToAssertionRequest(std::string client_id, std::string_view query) {
  static constexpr auto kKnown = std::to_array<std::string_view>({"audience"});
  RETURN_IF_ERROR(CheckClientId(client_id));
  ASSIGN_OR_RETURN(auto parameters, ParametersOf(query, kKnown));
  v1::CreateAssertionRequest request;
  request.set_client_id(std::move(client_id));
  request.set_audience(ValueOf(parameters, "audience"));
  return request;
}

}  // namespace assertion::service
