#include "bench/connection.h"

#include <grpcpp/grpcpp.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string_view>

namespace assertion::bench {
namespace {

// gRPC reads the target as a URI.
std::string Target(std::string_view path) {
  std::string target = "unix:";
  for (const unsigned char c : path) {
    if (std::isalnum(c) != 0 || std::string_view("/._-~").find(static_cast<char>(c)) != std::string_view::npos) {
      target += static_cast<char>(c);
    } else {
      std::array<char, 4> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "%%%02X", static_cast<unsigned>(c));
      target += escaped.data();
    }
  }
  return target;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::shared_ptr<grpc::Channel> OpenLocally(const std::string& listen) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all channels to one address share a connection
  return grpc::CreateCustomChannel(Target(std::string_view(listen).substr(std::string_view("unix:").size())),
                                   grpc::experimental::LocalCredentials(UDS), arguments);
}

std::unique_ptr<Stub> ConnectLocally(const std::string& listen) { return std::make_unique<Stub>(OpenLocally(listen)); }

std::unique_ptr<Stub> ConnectByTls(const std::string& address, const std::string& folder) {
  const auto credentials = grpc::SslCredentials({.pem_root_certs = ReadFile(folder + "/authorities.pem"),
                                                 .pem_private_key = ReadFile(folder + "/client.key"),
                                                 .pem_cert_chain = ReadFile(folder + "/client.pem")});
  return std::make_unique<Stub>(grpc::CreateChannel(address, credentials));
}

}  // namespace assertion::bench
