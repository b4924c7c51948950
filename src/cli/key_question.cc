#include "cli/key_question.h"

#include <cstdint>
#include <map>
#include <string>

#include "cli/call.h"
#include "cli/key_text.h"

namespace assertion::cli {
namespace {

int GetKey(const Options& options, const std::function<int(const v1::GetKeyResponse&)>& use) {
  v1::GetKeyRequest request;
  request.set_client_id(options.client_id);
  request.set_kid(options.kid);
  return Call<v1::GetKeyRequest, v1::GetKeyResponse>(options, &Connection::GetKey, request, use);
}

}  // namespace

int ListKeys(const Options& options) {
  v1::ListKeysRequest request;
  request.set_hsm(options.hsm);
  return Call<v1::ListKeysRequest, v1::ListKeysResponse>(
      options, &Connection::ListKeys, request, [&](const auto& response) {
        if (!options.json) {
          return Write("", KeyTable(response, SystemTime()));
        }
        nlohmann::ordered_json json = {{"keys", nlohmann::ordered_json::array()},
                                       {"versions", nlohmann::ordered_json::object()}};
        for (const auto& key : response.keys()) {
          json["keys"].push_back(KeyJson(key));
        }
        const std::map<std::string, std::int64_t> versions(response.versions().begin(), response.versions().end());
        for (const auto& [client_id, version] : versions) {  // in order
          json["versions"][client_id] = version;
        }
        return Write("", json.dump(2) + "\n");
      });
}

int ShowKey(const Options& options) {
  return GetKey(options, [&](const auto& response) {
    const auto& key = response.key();
    return Write("", options.json ? KeyJson(key).dump(2) + "\n" : KeyText(key, SystemTime()));
  });
}

int CreateCsr(const Options& options) {
  return WithKid(options, [&](const std::string& kid) {
    v1::CreateCsrRequest request;
    request.set_client_id(options.client_id);
    request.set_kid(kid);
    request.set_subject(options.subject);
    for (const auto& name : options.subject_alt_names) {
      request.add_subject_alt_names(name);
    }
    return Call<v1::CreateCsrRequest, v1::CreateCsrResponse>(
        options, &Connection::CreateCsr, request,
        [&](const auto& response) { return Write(options.out, response.csr_pem()); });
  });
}

int WithKid(const Options& options, const std::function<int(const std::string&)>& ask) {
  return options.kid.empty() ? GetKey(options, [&](const auto& response) { return ask(response.key().kid()); })
                             : ask(options.kid);
}

}  // namespace assertion::cli
