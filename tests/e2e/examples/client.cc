// Gets an access token with a client assertion of assertiond's, and prints the identity server's answer.
//
//   example_client CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]      with $ASSERTIOND_SERVER unix:/path
//
// AUDIENCE: one of the client's; default: its first.

#include <grpcpp/grpcpp.h>
#include <httplib.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>

#include "assertion/v1/assertion.grpc.pb.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

// A new assertion for every request, retries included; always with a deadline, which the server plans by.
grpc::Status CreateAssertion(assertion::v1::AssertionService::Stub& assertions, const std::string& client_id,
                             const std::string& audience, assertion::v1::CreateAssertionResponse& answer) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  assertion::v1::CreateAssertionRequest request;
  request.set_client_id(client_id);
  request.set_audience(audience);
  return assertions.CreateAssertion(&context, request, &answer);
}

}  // namespace

int main(int argc, char** argv) {
  const char* server = std::getenv("ASSERTIOND_SERVER");
  if ((argc != 3 && argc != 4) || server == nullptr) {
    std::cerr << "usage: ASSERTIOND_SERVER=unix:/path example_client CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]\n";
    return kWrongUsage;
  }
  const std::string token_endpoint = argv[2];
  // Once for the process: a channel is a connection. The kernel tells the server who we are.
  const auto channel = grpc::CreateChannel(server, grpc::InsecureChannelCredentials());
  const auto assertions = assertion::v1::AssertionService::NewStub(channel);
  assertion::v1::CreateAssertionResponse answer;
  if (const auto made = CreateAssertion(*assertions, argv[1], argc == 4 ? argv[3] : "", answer); !made.ok()) {
    std::cerr << "assertiond: " << made.error_message() << "\n";
    return kFailed;
  }
  const auto path = token_endpoint.find('/', token_endpoint.find("://") + 3);
  httplib::Client identity_server(token_endpoint.substr(0, path));
  const auto response = identity_server.Post(token_endpoint.substr(path),
                                             httplib::Params{{"grant_type", "client_credentials"},
                                                             {"client_id", argv[1]},
                                                             {"client_assertion_type", answer.client_assertion_type()},
                                                             {"client_assertion", answer.assertion()}});
  if (!response || response->status != 200) {
    std::cerr << "identity server: " << (response ? response->body : httplib::to_string(response.error())) << "\n";
    return kFailed;
  }
  std::cout << response->body << "\n";
  return 0;
}
