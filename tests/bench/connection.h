#pragma once

#include <memory>
#include <string>

#include "assertion/v1/assertion.grpc.pb.h"

namespace assertion::bench {

using Stub = v1::AssertionService::Stub;

// Over assertiond's Unix socket, as this process's user. `listen` is its configuration's: unix:/PATH. Each has a
// connection of its own.
std::shared_ptr<grpc::Channel> OpenLocally(const std::string& listen);
std::unique_ptr<Stub> ConnectLocally(const std::string& listen);

// Over TLS, as the caller of client.pem. `folder` has authorities.pem, client.pem and client.key.
std::unique_ptr<Stub> ConnectByTls(const std::string& address, const std::string& folder);

}  // namespace assertion::bench
