#pragma once

#include <string>

namespace assertion::service {

struct TlsOptions {
  std::string address;        // HOST:PORT; port 0: one that the system chooses
  std::string certificate;    // a file: the server's chain in PEM, leaf first
  std::string client_ca;      // a file: the authorities that issue to callers, PEM
  std::string crl_directory;  // "": revocation is not looked at
  std::string folder;         // of assertiond's own; what gRPC reads is put there
};

}  // namespace assertion::service
